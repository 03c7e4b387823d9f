/* y[i] = clamp(add[i] + requant(table(a[i]) b[i])): one value gates another.  numpy: hmdc/kernels/gate.py */
#ifndef HMDC_GENERATED
#include "math.h"
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
    const int32_t n = k->n;
#if HMDC_ASM
    const int32x4_t mult = vdupq_n_s32(k->mult);
    for (int32_t i = 0; i < n; i += 4) {
        const mve_pred16_t p = vctp32q((uint32_t)(n - i));
        const int32x4_t open = hmdc_interpolate4(gate, vldrhq_z_s32(a + i, p));
        int32x4_t v = hmdc_requant4(vmulq_s32(open, vldrhq_z_s32(b + i, p)), mult, k->shift);
        if (add)
            v = vaddq_s32(v, vldrwq_z_s32(add + i, p));
        hmdc_store4(y + i, v, k->lo, k->hi, p, sizeof(y_t));
    }
#else
    for (int32_t i = 0; i < n; i++) {
        const int32_t v = hmdc_requant(hmdc_interpolate(gate, a[i]) * b[i], k->mult, k->shift);
        y[i] = (y_t)hmdc_clamp(add ? add[i] + v : v, k->lo, k->hi);
    }
#endif
}
