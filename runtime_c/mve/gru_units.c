/* h = sat16((z h + 2^14 >> 15) + requant((2^15 - z) n)), z and n from tables.
 * No left shift, the second part in 16 bits, knots that differ by 16 bits.  numpy: hmdc/isa/mve.py */
#ifndef HMDC_GENERATED
#include "math.h"
#endif

struct hmdc_gru_units {
    const int16_t *gate;      /* 257 knots of Q3.12 -> Q0.15, none negative */
    const int16_t *candidate; /* 257 knots from Q3.12 */
    int32_t mult;             /* from a Q0.15 part of the candidate to the grid of h */
    int32_t n;
};

static void hmdc_gru_units(const struct hmdc_gru_units *k, const int16_t *z, const int16_t *n, int16_t *h)
{
    const int16_t *gate = k->gate + 128, *candidate = k->candidate + 128;
#if HMDC_ASM
    for (int32_t left = k->n; left > 0; left -= 8) {
        const mve_pred16_t p = vctp16q((uint32_t)left);
        const int16x8_t keep = hmdc_interpolate8(gate, vldrhq_z_s16(z, p));
        const int16x8_t candidates = hmdc_interpolate8(candidate, vldrhq_z_s16(n, p));
        /* keep - 2^15 fits in 16 bits, 2^15 - keep may not: both it and the multiplier are negative */
        const int16x8_t fresh = hmdc_product8(veorq_s16(keep, vdupq_n_s16(INT16_MIN)), candidates, -k->mult);
        vstrhq_p_s16(h, vqaddq_s16(vqrdmulhq_s16(keep, vldrhq_z_s16(h, p)), fresh), p);
        z += 8;
        n += 8;
        h += 8;
    }
#else
    for (int32_t i = 0; i < k->n; i++) {
        const int32_t keep = hmdc_interpolate(gate, z[i]);
        const int32_t fresh = (32768 - keep) * hmdc_interpolate(candidate, n[i]);
        h[i] = (int16_t)hmdc_sat16(hmdc_shift_round15(keep * h[i]) + hmdc_mulr(fresh, k->mult));
    }
#endif
}
