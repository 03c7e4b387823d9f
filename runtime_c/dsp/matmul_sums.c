/* y[r] = requant_r(bias[r] + sum_k w[r,k] x[k]).  numpy: hmdc/isa/dsp/products.py */
#ifndef HMDC_GENERATED
#include "pairs.h"
#endif

struct hmdc_matmul_sums {
    const uint32_t *weights; /* groups of 4 rows, see hmdc_pairs */
    const int32_t *bias;     /* [rows] */
    const int32_t *mult;     /* groups of 4 rows */
    int32_t shift;
    int32_t rows, columns;   /* columns: with those that fill up */
};

/* x: [columns], widened. */
static void hmdc_matmul_sums(const struct hmdc_matmul_sums *k, const int16_t *x, int32_t *y)
{
    const int32_t whole = k->rows & ~3, rest = k->rows & 3;
    struct hmdc_pairs p = {
        .x = x,
        .x_end = x + k->columns,
        .h = x,
        .h_end = x + k->columns,
        .weights = k->weights,
        .start = k->bias,
        .mult = k->mult,
        .shift = k->shift,
        .wide = 1,
        .y = y,
        .y_end = y + whole,
    };
    if (whole > 0)
        hmdc_pairs_multiply(&p);
    if (rest > 0) {
        int32_t first[4] = {0, 0, 0, 0}, last[4];
        for (int32_t i = 0; i < rest; i++)
            first[i] = p.start[i];
        p.start = first;
        p.y = last;
        p.y_end = last + 4;
        hmdc_pairs_multiply(&p);
        for (int32_t i = 0; i < rest; i++)
            y[whole + i] = last[i];
    }
}
