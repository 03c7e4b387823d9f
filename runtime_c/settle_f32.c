/* y[i] = clamp(x[i] + add[i]): partial sums become values.  numpy: hmdc/kernels/settle.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_settle_f32 {
    int32_t n;
    float lo, hi;
};

/* add: as x, or null. */
static void hmdc_settle_f32(const struct hmdc_settle_f32 *k, const float *x, const float *add, float *y)
{
    const int32_t n = k->n;
    for (int32_t i = 0; i < n; i++) {
        y[i] = hmdc_clampf(add ? add[i] + x[i] : x[i], k->lo, k->hi);
    }
}
