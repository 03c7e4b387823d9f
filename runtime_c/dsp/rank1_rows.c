/* t = sat16(requant(c . x1), requant(e . x2));  y[r] = sat16(requant(bias[r] + b[r] t[0] + d[r] t[1])).
 * numpy: hmdc/isa/dsp/structured.py */
#ifndef HMDC_GENERATED
#include "structured.h"
#endif

struct hmdc_rank1_rows {
    const uint32_t *dots;            /* c, then e, two columns in a word; zeros where the other one has columns */
    int32_t n1, n2, e_first;         /* columns of c, from 0, and of e, from e_first: multiples of 4 */
    int32_t c_bias, c_mult, c_shift; /* from the sum c . x1 to t[0] */
    int32_t e_bias, e_mult, e_shift; /* from the sum e . x2 to t[1] */
    const int32_t *stream;           /* groups of 4 rows, see hmdc_rank1_groups */
    int32_t rows, mult;
};

/* x: [n1 + n2], widened; t: [2]. */
static void hmdc_rank1_rows(const struct hmdc_rank1_rows *k, const int16_t *x, int16_t *t, int16_t *y)
{
    const int32_t sum1 = hmdc_dot(x, k->dots, k->n1, k->c_bias);
    const int32_t sum2 = hmdc_dot(x + k->e_first, k->dots + k->n1 / 2, k->n2, k->e_bias);
    const int32_t t1 = hmdc_sat16(hmdc_mulr(sum1 * (1 << k->c_shift), k->c_mult));
    const int32_t t2 = hmdc_sat16(hmdc_mulr(sum2 * (1 << k->e_shift), k->e_mult));
    const uint32_t both = ((uint32_t)t1 & 0xffff) | (uint32_t)t2 << 16;
    const int32_t whole = k->rows & ~3, rest = k->rows & 3;
    t[0] = (int16_t)t1;
    t[1] = (int16_t)t2;
    if (whole > 0)
        hmdc_rank1_groups(k->stream, both, k->mult, y, y + whole);
    if (rest > 0) {
        int16_t last[4];
        hmdc_rank1_groups(k->stream + whole / 2 * 3, both, k->mult, last, last + 4);
        for (int32_t i = 0; i < rest; i++)
            y[whole + i] = last[i];
    }
}
