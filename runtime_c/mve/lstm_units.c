/* c = sat16((f c + 2^14 >> 15) + requant(i g)); h = sat(requant(o tanh(c << c_shift))), i f g o from tables.
 * No left shifts, i g in 16 bits, knots that differ by 16 bits.  numpy: hmdc/isa/mve.py */
#ifndef HMDC_GENERATED
#include "math.h"
#define h_t int8_t
#endif

struct hmdc_lstm_units {
    const int16_t *gate;      /* 257 knots of Q3.12 -> Q0.15, for i, f and o */
    const int16_t *candidate; /* 257 knots from Q3.12, for g */
    const int16_t *output;    /* 257 knots from Q3.12, for c */
    int32_t mult_c;
    int32_t c_shift; /* from the grid of c to Q3.12 */
    int32_t mult_h;
    int32_t n;
};

/* z: i[n], f[n], g[n], o[n]. */
static void hmdc_lstm_units(const struct hmdc_lstm_units *k, const int16_t *z, int16_t *c, h_t *h)
{
    const int16_t *gate = k->gate + 128, *candidate = k->candidate + 128, *output = k->output + 128;
    const int32_t n = k->n;
#if HMDC_ASM
    for (int32_t left = n; left > 0; left -= 8) {
        const mve_pred16_t p = vctp16q((uint32_t)left);
        const int16x8_t i = hmdc_interpolate8(gate, vldrhq_z_s16(z, p));
        const int16x8_t f = hmdc_interpolate8(gate, vldrhq_z_s16(z + n, p));
        const int16x8_t g = hmdc_interpolate8(candidate, vldrhq_z_s16(z + 2 * n, p));
        const int16x8_t o = hmdc_interpolate8(gate, vldrhq_z_s16(z + 3 * n, p));
        const int16x8_t kept = vqrdmulhq_s16(f, vldrhq_z_s16(c, p));
        const int16x8_t cell = vqaddq_s16(kept, hmdc_product8(i, g, k->mult_c));
        const int16x8_t t = hmdc_interpolate8(output, vqshlq_r_s16(cell, k->c_shift));
        const int16x8_t out = hmdc_product8(o, t, k->mult_h);
        vstrhq_p_s16(c, cell, p);
        hmdc_store8(h, out, p, sizeof(h_t));
        z += 8;
        c += 8;
        h += 8;
    }
#else
    for (int32_t j = 0; j < n; j++) {
        const int32_t i = hmdc_interpolate(gate, z[j]);
        const int32_t f = hmdc_interpolate(gate, z[n + j]);
        const int32_t g = hmdc_interpolate(candidate, z[2 * n + j]);
        const int32_t o = hmdc_interpolate(gate, z[3 * n + j]);
        const int32_t cell = hmdc_sat16(hmdc_shift_round15(f * c[j]) + hmdc_mulr(i * g, k->mult_c));
        const int32_t t = hmdc_interpolate(output, hmdc_sat16(cell * (1 << k->c_shift)));
        const int32_t out = hmdc_mulr(o * t, k->mult_h);
        c[j] = (int16_t)cell;
        h[j] = (h_t)(sizeof(h_t) == 1 ? hmdc_sat8(out) : hmdc_sat16(out));
    }
#endif
}
