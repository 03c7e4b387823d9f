/* y[i] = add[i] + gate(a[i]) b[i]: one value gates another.  numpy: hmdc/kernels/gate.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_gate_f32 {
    float (*gate)(float);
    int32_t n;
};

/* add: may be null. */
static void hmdc_gate_f32(const struct hmdc_gate_f32 *k, const float *a, const float *b, const float *add,
                          float *y)
{
    const int32_t n = k->n;
    for (int32_t i = 0; i < n; i++) {
        const float v = k->gate(a[i]) * b[i];
        y[i] = add ? add[i] + v : v;
    }
}
