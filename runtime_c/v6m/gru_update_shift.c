/* h = sat16((z h + 2^14 >> 15) + ((2^15 - z) n + 2^(down - 1) >> down)), z and n from tables.
 * numpy: hmdc/isa/v6m.py */
#ifndef HMDC_GENERATED
#include "math.h"
#endif

struct hmdc_gru_update_shift {
    const int16_t *gate;      /* 257 knots of Q3.12 -> Q0.15, none negative */
    const int16_t *candidate; /* 257 knots from Q3.12 */
    int32_t down;
    int32_t n;
};

static void hmdc_gru_update_shift(const struct hmdc_gru_update_shift *k, const int16_t *z, const int16_t *n,
                                  int16_t *h)
{
    const int16_t *gate = k->gate + 128, *candidate = k->candidate + 128;
    const int32_t down = k->down, half = 1 << (down - 1);
    for (int32_t i = 0; i < k->n; i++) {
        const int32_t keep = hmdc_interpolate(gate, z[i]);
        const int32_t fresh = (32768 - keep) * hmdc_interpolate(candidate, n[i]);
        h[i] = (int16_t)hmdc_sat16(hmdc_shift_round15(keep * h[i]) + ((fresh + half) >> down));
    }
}
