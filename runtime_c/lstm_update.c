/* c = sat16((f c + 2^14 >> 15) + requant(i g)); h = sat(requant(o tanh(c << c_shift))), i f g o from tables.
 * numpy: hmdc/kernels/lstm_update.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define h_t int8_t
#endif

struct hmdc_lstm_update {
    const int16_t *gate;      /* 257 knots of Q3.12 -> Q0.15, for i, f and o */
    const int16_t *candidate; /* 257 knots from Q3.12, for g */
    const int16_t *output;    /* 257 knots from Q3.12, for c */
    int32_t mult_c, shift_c;
    int32_t c_shift; /* from the grid of c to Q3.12 */
    int32_t mult_h, shift_h;
    int32_t n;
};

/* z: i[n], f[n], g[n], o[n]. */
static void hmdc_lstm_update(const struct hmdc_lstm_update *k, const int16_t *z, int16_t *c, h_t *h)
{
    const int16_t *gate = k->gate + 128, *candidate = k->candidate + 128, *output = k->output + 128;
    const int32_t n = k->n;
    const int16_t *later = z + 2 * n;
    for (const h_t *end = h + n; h != end; z++, later++) {
        const int32_t i = hmdc_interpolate(gate, z[0]);
        const int32_t f = hmdc_interpolate(gate, z[n]);
        const int32_t g = hmdc_interpolate(candidate, later[0]);
        const int32_t o = hmdc_interpolate(gate, later[n]);
        const int32_t sum = hmdc_shift_round15(f * *c) + hmdc_requant(i * g, k->mult_c, k->shift_c);
        const int32_t cell = hmdc_sat16(sum);
        const int32_t t = hmdc_interpolate(output, hmdc_sat16(cell * (1 << k->c_shift)));
        const int32_t out = hmdc_requant(o * t, k->mult_h, k->shift_h);
        *c++ = (int16_t)cell;
        *h++ = (h_t)(sizeof(h_t) == 1 ? hmdc_sat8(out) : hmdc_sat16(out));
    }
}
