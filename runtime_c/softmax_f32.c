/* y[p,i,q] = exp(x_i - max_j x_j) / sum_j exp(x_j - max x).  numpy: hmdc/kernels/softmax.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_softmax_f32 {
    int32_t p, n, q; /* softmax over n */
};

static void hmdc_softmax_f32(const struct hmdc_softmax_f32 *k, const float *x, float *y)
{
    const int32_t q = k->q, size = k->n * q;
    for (int32_t p = 0; p < k->p; p++, x += size, y += size) {
        for (int32_t j = 0; j < q; j++) {
            float top = x[j], total = 0.0f;
            for (int32_t i = j; i < size; i += q) {
                top = x[i] > top ? x[i] : top;
            }
            for (int32_t i = j; i < size; i += q) {
                y[i] = expf(x[i] - top);
                total += y[i];
            }
            for (int32_t i = j; i < size; i += q) {
                y[i] /= total;
            }
        }
    }
}
