/* y[p,o,q] = clamp(zero + requant(pooled over k of x[p, o stride + k dilation - before, q] - x_zero)).
 * numpy: hmdc/kernels/pool.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define x_t int8_t
#define y_t int8_t
#endif

struct hmdc_pool {
    int32_t sum, sign; /* sum: of the window; else its maximum, with sign -1 its minimum */
    int32_t p, n, m, q;
    int32_t size, stride, dilation, before;
    int32_t mult, shift, x_zero;
    int32_t zero, lo, hi;
};

/* x: [p, n, q]; y: [p, m, q]. */
static void hmdc_pool(const struct hmdc_pool *k, const x_t *x, y_t *y)
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
                int32_t v = x[from * q + j] - k->x_zero;
                for (int32_t i = from + k->dilation; i < to; i += k->dilation) {
                    const int32_t u = x[i * q + j] - k->x_zero;
                    v = k->sum ? v + u : k->sign * u > k->sign * v ? u : v;
                }
                *y++ = (y_t)hmdc_clamp(k->zero + hmdc_requant(v, k->mult, k->shift), k->lo, k->hi);
            }
        }
    }
}
