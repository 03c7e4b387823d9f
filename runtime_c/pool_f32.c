/* y[p,o,q] = factor * (pooled over k of x[p, o stride + k dilation - before, q]).
 * numpy: hmdc/kernels/pool.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_pool_f32 {
    int32_t sum, sign; /* sum: of the window; else its maximum, with sign -1 its minimum */
    int32_t p, n, m, q;
    int32_t size, stride, dilation, before;
    float factor;
};

/* x: [p, n, q]; y: [p, m, q]. */
static void hmdc_pool_f32(const struct hmdc_pool_f32 *k, const float *x, float *y)
{
    const int32_t q = k->q;
    for (int32_t p = 0; p < k->p; p++, x += k->n * q) {
        for (int32_t o = 0; o < k->m; o++) {
            int32_t from = o * k->stride - k->before, to = from + k->size * k->dilation;
            while (from < 0) {
                from += k->dilation;
            }
            to = to < k->n ? to : k->n;
            for (int32_t j = 0; j < q; j++) {
                float v = x[from * q + j];
                for (int32_t i = from + k->dilation; i < to; i += k->dilation) {
                    const float u = x[i * q + j];
                    v = k->sum ? v + u : (k->sign > 0 ? u > v : u < v) ? u : v;
                }
                *y++ = k->factor * v;
            }
        }
    }
}
