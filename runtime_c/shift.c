/* y = y[n:], x: the newest n values come behind, the oldest leave.  numpy: hmdc/kernels/shift.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define y_t int8_t
#endif

struct hmdc_shift {
    int32_t kept, n; /* values of y that stay, that come */
};

static void hmdc_shift(const struct hmdc_shift *k, const y_t *x, y_t *y)
{
    const int32_t kept = k->kept, n = k->n;
    for (int32_t i = 0; i < kept; i++) {
        y[i] = y[i + n];
    }
    for (int32_t i = 0; i < n; i++) {
        y[kept + i] = x[i];
    }
}
