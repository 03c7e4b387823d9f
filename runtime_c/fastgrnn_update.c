/* h = sat16((z h + 2^14 >> 15) + requant((both - (zeta z + 2^14 >> 15)) n)), z and n from tables.
 * numpy: hmdc/kernels/fastgrnn_update.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#endif

struct hmdc_fastgrnn_update {
    const int16_t *gate;      /* 257 knots of Q3.12 -> Q0.15, none negative */
    const int16_t *candidate; /* 257 knots from Q3.12 */
    const int16_t *shift;     /* from the pre-activation of the gate to that of the candidate */
    int32_t zeta, both;       /* zeta and zeta + nu in Q1.14 */
    int32_t mult, left;       /* from a Q1.14 part of the candidate to the grid of h */
    int32_t n;
};

static void hmdc_fastgrnn_update(const struct hmdc_fastgrnn_update *k, const int16_t *z, int16_t *h)
{
    const int16_t *gate = k->gate + 128, *candidate = k->candidate + 128;
    const int32_t n = k->n;
    for (int32_t i = 0; i < n; i++) {
        const int32_t keep = hmdc_interpolate(gate, z[i]);
        const int32_t value = hmdc_interpolate(candidate, hmdc_sat16(z[i] + k->shift[i]));
        const int32_t fresh = (k->both - hmdc_shift_round15(k->zeta * keep)) * value;
        h[i] = (int16_t)hmdc_sat16(hmdc_shift_round15(keep * h[i]) + hmdc_requant(fresh, k->mult, k->left));
    }
}
