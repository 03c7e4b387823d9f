/* y[p,i,q] = gain c_i / sqrt(max(mean_j c_j^2 + epsilon, floor)), c_i = x_i, less the mean of all x_j if centered.
 * numpy: hmdc/kernels/normalize.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_normalize_f32 {
    float epsilon, floor, gain;
    int32_t p, n, q; /* along n */
    int32_t centered;
};

static void hmdc_normalize_f32(const struct hmdc_normalize_f32 *k, const float *x, float *y)
{
    const int32_t q = k->q, size = k->n * q;
    for (int32_t p = 0; p < k->p; p++, x += size, y += size) {
        for (int32_t j = 0; j < q; j++) {
            float mean = 0.0f, squares = 0.0f;
            if (k->centered) {
                for (int32_t i = j; i < size; i += q) {
                    mean += x[i];
                }
                mean /= (float)k->n;
            }
            for (int32_t i = j; i < size; i += q) {
                squares += (x[i] - mean) * (x[i] - mean);
            }
            squares = squares / (float)k->n + k->epsilon;
            const float factor = k->gain / sqrtf(squares > k->floor ? squares : k->floor);
            for (int32_t i = j; i < size; i += q) {
                y[i] = (x[i] - mean) * factor;
            }
        }
    }
}
