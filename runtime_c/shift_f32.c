/* y = y[n:], x: the newest n values come behind, the oldest leave.  numpy: hmdc/kernels/shift.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_shift_f32 {
    int32_t kept, n; /* values of y that stay, that come */
};

static void hmdc_shift_f32(const struct hmdc_shift_f32 *k, const float *x, float *y)
{
    const int32_t kept = k->kept, n = k->n;
    for (int32_t i = 0; i < kept; i++) {
        y[i] = y[i + n];
    }
    for (int32_t i = 0; i < n; i++) {
        y[kept + i] = x[i];
    }
}
