/* y[p,r] = requant_r(bias[r] + sum_k w[r,k] x[p,k]), three vectors for each read of the weights.
 * numpy: hmdc/isa/dsp/products.py */
#ifndef HMDC_GENERATED
#include "pairs.h"
#endif

struct hmdc_matmul_block {
    const uint32_t *weights; /* groups of 4 rows, see hmdc_pairs */
    const int32_t *bias;     /* pairs of rows */
    const int32_t *mult;     /* likewise */
    int32_t shift;
    int32_t p, rows, columns; /* columns: with those that fill up */
};

/* x: [p / 3, columns / 2, 3, 2], see hmdc_interleave; y: [p, rows]. */
static void hmdc_matmul_block(const struct hmdc_matmul_block *k, const int16_t *x, int32_t *y)
{
    const int32_t rows = k->rows, columns = k->columns;
    for (int32_t v = 0; v < k->p; v += 3, x += 3 * columns, y += 3 * rows) {
        const int32_t vectors = k->p - v < 3 ? k->p - v : 3, straight = vectors == 3 ? rows & ~1 : 0;
        struct hmdc_block b = {
            .x = x,
            .x_end = x + 3 * columns,
            .weights = k->weights,
            .start = k->bias,
            .mult = k->mult,
            .shift = k->shift,
            .skip = -(columns / 4) & 3,
            .next = 8 - 4 * columns,
            .both = -4 * columns,
            .y = y,
            .y_end = y + straight,
            .y_step = 4 * rows,
        };
        if (straight > 0)
            hmdc_block_multiply(&b);
        for (int32_t r = straight; r < rows; r += 2) { /* an odd row at the end, or vectors that fill up */
            int32_t sums[6];
            b.y = sums;
            b.y_end = sums + 2;
            b.y_step = 8;
            hmdc_block_multiply(&b);
            for (int32_t j = 0; j < vectors; j++) {
                y[j * rows + r] = sums[2 * j];
                if (r + 1 < rows)
                    y[j * rows + r + 1] = sums[2 * j + 1];
            }
        }
    }
}
