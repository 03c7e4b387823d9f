/* t = sat16(requant(c . x1), requant(e . x2));
 * y[r] = clamp(zero + add[r] + requant(bias[r] + b[r] t[0] + d[r] t[1])).
 * numpy: hmdc/isa/dsp/structured.py */
#ifndef HMDC_GENERATED
#include "structured.h"
#define y_t int8_t
#endif

struct hmdc_rank1_wide {
    const uint32_t *dots;            /* c, then e, two columns in a word; zeros where the other one has columns */
    int32_t n1, n2, e_first;         /* columns of c, from 0, and of e, from e_first: multiples of 4 */
    int32_t c_bias, c_mult, c_shift; /* from the sum c . x1 to t[0] */
    int32_t e_bias, e_mult, e_shift; /* from the sum e . x2 to t[1] */
    const int8_t *bd;                /* [rows, 2]: b[r], d[r] */
    const int32_t *bias;             /* [rows], or null */
    int32_t rows, mult, shift;
    int32_t zero, lo, hi;
};

/* x: [n1 + n2], widened; add: [rows], or null; t: [2]. */
static void hmdc_rank1_wide(const struct hmdc_rank1_wide *k, const int16_t *x, const int32_t *add, int16_t *t,
                            y_t *y)
{
    const int32_t sum1 = hmdc_dot(x, k->dots, k->n1, k->c_bias);
    const int32_t sum2 = hmdc_dot(x + k->e_first, k->dots + k->n1 / 2, k->n2, k->e_bias);
    const int32_t t1 = hmdc_sat16(hmdc_mulr(sum1 * (1 << k->c_shift), k->c_mult));
    const int32_t t2 = hmdc_sat16(hmdc_mulr(sum2 * (1 << k->e_shift), k->e_mult));
    const int32_t rows = k->rows, mult = k->mult, unit = 1 << k->shift, zero = k->zero, lo = k->lo, hi = k->hi;
    const int32_t *bias = k->bias;
    const int8_t *bd = k->bd;
    t[0] = (int16_t)t1;
    t[1] = (int16_t)t2;
    for (int32_t r = 0; r < rows; r++, bd += 2) {
        const int32_t sum = (bias ? bias[r] : 0) + bd[0] * t1 + bd[1] * t2;
        const int32_t v = zero + hmdc_mulr(sum * unit, mult);
        y[r] = (y_t)hmdc_clamp(add ? add[r] + v : v, lo, hi);
    }
}
