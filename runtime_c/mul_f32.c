/* y[i] = a[i] b[i].  numpy: hmdc/kernels/mul.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_mul_f32 {
    int32_t n;
};

static void hmdc_mul_f32(const struct hmdc_mul_f32 *k, const float *a, const float *b, float *y)
{
    const int32_t n = k->n;
    for (int32_t i = 0; i < n; i++) {
        y[i] = a[i] * b[i];
    }
}
