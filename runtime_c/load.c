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
    const y_t *v = k->v;
    const y_t fill = (y_t)k->fill;
    int32_t n = k->n;
    for (; v && n >= 4; n -= 4, v += 4, y += 4) {
        const y_t a = v[0], b = v[1], c = v[2], d = v[3];
        y[0] = a;
        y[1] = b;
        y[2] = c;
        y[3] = d;
    }
    for (; !v && n >= 4; n -= 4, y += 4) {
        y[0] = fill;
        y[1] = fill;
        y[2] = fill;
        y[3] = fill;
    }
    for (int32_t i = 0; i < n; i++) {
        y[i] = v ? v[i] : fill;
    }
}
