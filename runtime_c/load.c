/* y[i] = v[i], a constant vector; a null v means y[i] = fill.  numpy: hmdc/kernels/load.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define y_t int8_t
#endif

struct hmdc_load {
    const y_t *v; /* or null */
    int32_t fill;
    int32_t n;
};

static void hmdc_load(const struct hmdc_load *k, y_t *y)
{
    const int32_t n = k->n;
    for (int32_t i = 0; i < n; i++) {
        y[i] = k->v ? k->v[i] : (y_t)k->fill;
    }
}
