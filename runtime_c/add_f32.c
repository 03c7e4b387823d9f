/* y[i] = a[i] + sign b[i].  numpy: hmdc/kernels/add.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_add_f32 {
    int32_t sign; /* 1 or -1 */
    int32_t n;
};

static void hmdc_add_f32(const struct hmdc_add_f32 *k, const float *a, const float *b, float *y)
{
    const int32_t n = k->n;
    const float sign = (float)k->sign;
    for (int32_t i = 0; i < n; i++) {
        y[i] = a[i] + sign * b[i];
    }
}
