/* c = sat16((f c + 2^14 >> 15) + (i g + 2^(down_c - 1) >> down_c)); h = sat(scale16(o tanh(c << c_shift))).
 * numpy: hmdc/isa/v6m.py */
#ifndef HMDC_GENERATED
#include "math.h"
#define h_t int8_t
#endif

struct hmdc_lstm_update_shift {
    const int16_t *gate;      /* 257 knots of Q3.12 -> Q0.15, for i, f and o */
    const int16_t *candidate; /* 257 knots from Q3.12, for g */
    const int16_t *output;    /* 257 knots from Q3.12, for c */
    int32_t down_c;
    int32_t c_shift; /* from the grid of c to Q3.12 */
    int32_t mult_h, down_h;
    int32_t n;
};

/* z: i[n], f[n], g[n], o[n]. */
static void hmdc_lstm_update_shift(const struct hmdc_lstm_update_shift *k, const int16_t *z, int16_t *c, h_t *h)
{
    const int16_t *gate = k->gate + 128, *candidate = k->candidate + 128, *output = k->output + 128;
    const int32_t n = k->n, down_c = k->down_c, half_c = 1 << (down_c - 1);
    for (int32_t j = 0; j < n; j++, z++) {
        const int32_t kept = hmdc_shift_round15(hmdc_interpolate(gate, z[n]) * c[j]);
        const int32_t fresh = hmdc_interpolate(gate, z[0]) * hmdc_interpolate(candidate, z[2 * n]);
        const int32_t cell = hmdc_sat16(kept + ((fresh + half_c) >> down_c));
        c[j] = (int16_t)cell;
        const int32_t t = hmdc_interpolate(output, hmdc_sat16(cell * (1 << k->c_shift)));
        const int32_t out = hmdc_scale16(hmdc_interpolate(gate, z[3 * n]) * t, k->mult_h, k->down_h);
        h[j] = (h_t)(sizeof(h_t) == 1 ? hmdc_sat8(out) : hmdc_sat16(out));
    }
}
