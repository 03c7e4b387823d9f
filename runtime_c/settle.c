/* y[i] = clamp(zero + x[i] + add[i]): int32 partial sums become values.  numpy: hmdc/kernels/settle.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define y_t int8_t
#endif

struct hmdc_settle {
    int32_t n;
    int32_t zero, lo, hi;
};

/* x: on the grid of y; add: as x, or null. */
static void hmdc_settle(const struct hmdc_settle *k, const int32_t *x, const int32_t *add, y_t *y)
{
    const int32_t n = k->n, lo = k->lo, hi = k->hi;
    for (int32_t i = 0; i < n; i++) {
        const int32_t v = k->zero + x[i];
        y[i] = (y_t)hmdc_bound(add ? add[i] + v : v, lo, hi, sizeof(y_t));
    }
}
