/* y[r] = clamp(zero + add[r] + requant_r(bias[r] + sum over kept blocks w[r,k] x[k])), in tiles of 4 rows x 4 columns.
 * numpy: hmdc/isa/dsp/structured.py */
#ifndef HMDC_GENERATED
#include "structured.h"
#define y_t int8_t
#endif

struct hmdc_tiles {
    const uint32_t *weights;  /* tiles, row of tiles after row of tiles, see hmdc_tiles_dot */
    const uint16_t *offsets;  /* of each tile */
    const int32_t *bias;      /* [rows], filled up to whole tiles */
    const int32_t *mult;      /* [rows] with mult_step 1, [1] with mult_step 0 */
    int32_t mult_step, shift;
    int32_t rows;
    int32_t zero, lo, hi;
};

/* x: widened; add: [rows], or null. */
static void hmdc_tiles(const struct hmdc_tiles *k, const int16_t *x, const int32_t *add, y_t *y)
{
    const int32_t rows = k->rows, step = k->mult_step, unit = 1 << k->shift, zero = k->zero, lo = k->lo, hi = k->hi;
    const int32_t whole = sizeof(y_t) == 2 && !add && lo == INT16_MIN && hi == INT16_MAX;
    const int32_t *bias = k->bias, *mult = k->mult;
    const uint32_t *weights = k->weights;
    const uint16_t *offsets = k->offsets;
    for (int32_t r = 0; r < rows; r += 4, bias += 4) {
        const int32_t n = rows - r < 4 ? rows - r : 4;
        int32_t sum[4] = {bias[0], bias[1], bias[2], bias[3]};
        hmdc_tiles_dot(&weights, &offsets, x, sum);
        if (whole && n == 4) {
            for (int32_t i = 0; i < 4; i++, mult += step)
                y[r + i] = (y_t)hmdc_sat16(hmdc_add_mulr(zero, sum[i] * unit, *mult));
            continue;
        }
        for (int32_t i = 0; i < n; i++, mult += step) {
            const int32_t v = hmdc_add_mulr(zero, sum[i] * unit, *mult);
            y[r + i] = (y_t)hmdc_clamp(add ? add[r + i] + v : v, lo, hi);
        }
    }
}
