/* y[i] = v[i], a constant vector; a null v means y[i] = fill.  numpy: hmdc/kernels/load.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_load_f32 {
    const float *v; /* or null */
    float fill;
    int32_t n;
};

static void hmdc_load_f32(const struct hmdc_load_f32 *k, float *y)
{
    const int32_t n = k->n;
    for (int32_t i = 0; i < n; i++) {
        y[i] = k->v ? k->v[i] : k->fill;
    }
}
