/* y[p,i,q] = x_i - max_j x_j - log(sum_j exp(x_j - max x)).  numpy: hmdc/kernels/log_softmax.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_log_softmax_f32 {
    int32_t p, n, q; /* log_softmax over n */
};

static void hmdc_log_softmax_f32(const struct hmdc_log_softmax_f32 *k, const float *x, float *y)
{
    const int32_t q = k->q, size = k->n * q;
    for (int32_t p = 0; p < k->p; p++, x += size, y += size) {
        for (int32_t j = 0; j < q; j++) {
            float top = x[j], total = 0.0f;
            for (int32_t i = j; i < size; i += q) {
                top = x[i] > top ? x[i] : top;
            }
            for (int32_t i = j; i < size; i += q) {
                total += expf(x[i] - top);
            }
            total = logf(total);
            for (int32_t i = j; i < size; i += q) {
                y[i] = x[i] - top - total;
            }
        }
    }
}
