/* y[i] += x[i]: sums over time.  numpy: hmdc/kernels/accumulate.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_accumulate_f32 {
    int32_t n;
};

static void hmdc_accumulate_f32(const struct hmdc_accumulate_f32 *k, const float *x, float *y)
{
    const int32_t n = k->n;
    for (int32_t i = 0; i < n; i++) {
        y[i] += x[i];
    }
}
