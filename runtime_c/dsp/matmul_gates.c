/* y[r] = sat16(requant_r(start[r] + sum_k w[r,k] x[k])).  numpy: hmdc/isa/dsp.py */
#ifndef HMDC_GENERATED
#include "math.h"
#endif

struct hmdc_matmul_gates {
    const uint32_t *weights; /* groups of 4 rows, see hmdc_pairs */
    const int32_t *bias;     /* [rows] */
    const int32_t *mult;     /* [rows], filled up to whole groups */
    int32_t rows, columns;   /* columns: with those that fill up */
};

/* x: [columns], widened; start: [rows], or null; it takes the place of the bias. */
static void hmdc_matmul_gates(const struct hmdc_matmul_gates *k, const int16_t *x, const int32_t *start, int16_t *y)
{
    const int32_t whole = k->rows & ~3, rest = k->rows & 3;
    struct hmdc_pairs p = {x, x + (k->columns & ~15), x + k->columns, y, y + whole, k->weights, start ? start : k->bias,
                           k->mult, 0};
    if (whole > 0)
        hmdc_pairs_gates(&p);
    if (rest > 0) {
        int32_t first[4] = {0, 0, 0, 0};
        int16_t last[4];
        for (int32_t i = 0; i < rest; i++)
            first[i] = p.start[i];
        p.start = first;
        p.y = last;
        p.y_end = last + 4;
        hmdc_pairs_gates(&p);
        for (int32_t i = 0; i < rest; i++)
            y[whole + i] = last[i];
    }
}
