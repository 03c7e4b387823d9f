/* h = sat16((z h + 2^14 >> 15) + requant((2^15 - z) n)), z and n from tables.
 * numpy: hmdc/kernels/gru_update.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#endif

struct hmdc_gru_update {
    const int16_t *gate;      /* 257 knots of Q3.12 -> Q0.15, none negative */
    const int16_t *candidate; /* 257 knots from Q3.12 */
    int32_t mult, shift;      /* from a Q0.15 part of the candidate to the grid of h */
    int32_t n;
};

static void hmdc_gru_update(const struct hmdc_gru_update *k, const int16_t *z, const int16_t *n, int16_t *h)
{
    const int16_t *gate = k->gate + 128, *candidate = k->candidate + 128;
    for (int32_t i = 0; i < k->n; i++) {
        const int32_t keep = hmdc_interpolate(gate, z[i]);
        const int32_t fresh = (32768 - keep) * hmdc_interpolate(candidate, n[i]);
        const int32_t v = hmdc_shift_round15(keep * h[i]) + hmdc_requant(fresh, k->mult, k->shift);
        h[i] = (int16_t)hmdc_sat16(v);
    }
}
