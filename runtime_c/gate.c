/* y[i] = clamp(add[i] + requant(table(a[i]) b[i])): one value gates another.  numpy: hmdc/kernels/gate.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define y_t int8_t
#endif

struct hmdc_gate {
    const int16_t *gate; /* 257 knots of Q3.12 -> Q0.15 */
    int32_t mult, shift;
    int32_t lo, hi;
    int32_t n;
};

/* add: on the grid of y, or null. */
static void hmdc_gate(const struct hmdc_gate *k, const int16_t *a, const int16_t *b, const int32_t *add,
                      y_t *y)
{
    const int16_t *gate = k->gate + 128;
    const int32_t n = k->n, lo = k->lo, hi = k->hi;
    for (int32_t i = 0; i < n; i++) {
        const int32_t v = hmdc_requant(hmdc_interpolate(gate, a[i]) * b[i], k->mult, k->shift);
        y[i] = (y_t)hmdc_bound(add ? add[i] + v : v, lo, hi, sizeof(y_t));
    }
}
