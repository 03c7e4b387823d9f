/* y[r] = clamp(zero + add[r] + requant_r(bias[r] + sum over kept w[r,k] x[k])), x of 8 bits.
 * numpy: hmdc/isa/dsp/structured.py */
#ifndef HMDC_GENERATED
#include "structured.h"
#define y_t int8_t
#endif

struct hmdc_sparse {
    const int32_t *stream;   /* rows, see hmdc_sparse_rows */
    const int32_t *mult;     /* [rows] with mult_step 1, [1] with mult_step 0 */
    int32_t mult_step, shift;
    int32_t rows;
    int32_t zero, lo, hi;
};

/* add: [rows], or null. */
static void hmdc_sparse(const struct hmdc_sparse *k, const int8_t *x, const int32_t *add, y_t *y)
{
    const int32_t step = k->mult_step, unit = 1 << k->shift, zero = k->zero, lo = k->lo, hi = k->hi;
    const int32_t whole = sizeof(y_t) == 2 && !add && lo == INT16_MIN && hi == INT16_MAX;
    const int32_t *mult = k->mult, *stream = k->stream;
    int32_t sum[16];
    for (int32_t rows = k->rows; rows > 0; rows -= 16) {
        const int32_t *end = sum + (rows < 16 ? rows : 16);
        stream = hmdc_sparse_rows(stream, x, sum, end);
        for (const int32_t *s = sum; whole && s != end; mult += step)
            *y++ = (y_t)hmdc_sat16(hmdc_add_mulr(zero, *s++ * unit, *mult));
        for (const int32_t *s = sum; !whole && s != end; mult += step) {
            const int32_t v = hmdc_add_mulr(zero, *s++ * unit, *mult);
            *y++ = (y_t)hmdc_clamp(add ? *add++ + v : v, lo, hi);
        }
    }
}
