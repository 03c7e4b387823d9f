/* y[i] += x[i] - x_zero: int32 sums over time.  numpy: hmdc/kernels/accumulate.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define x_t int8_t
#endif

struct hmdc_accumulate {
    int32_t x_zero;
    int32_t n;
};

static void hmdc_accumulate(const struct hmdc_accumulate *k, const x_t *x, int32_t *y)
{
    const int32_t n = k->n, x_zero = k->x_zero;
    for (int32_t i = 0; i < n; i++) {
        y[i] += x[i] - x_zero;
    }
}
