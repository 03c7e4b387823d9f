/* y[r] = clamp(zero + add[r] + requant_r(bias[r] + sum over kept blocks w[r,k] x[k])).
 * numpy: hmdc/kernels/block_spmv.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define x_t int8_t
#define y_t int8_t
#endif

struct hmdc_block_spmv {
    const int8_t *weights;   /* kept blocks [block_rows, block_columns], row of blocks after row of blocks */
    const int32_t *bias;     /* [rows], or null */
    const uint16_t *columns; /* per block: its first column */
    const uint16_t *counts;  /* per row of blocks: its blocks */
    const int32_t *mult;     /* [rows] with mult_step 1, [1] with mult_step 0 */
    int32_t mult_step, shift;
    int32_t rows, block_rows, block_columns; /* block_rows: 1..8 */
    int32_t zero, lo, hi;
};

/* add: [rows], or null. */
static void hmdc_block_spmv(const struct hmdc_block_spmv *k, const x_t *x, const int32_t *add, y_t *y)
{
    const int32_t rows = k->rows, height = k->block_rows, width = k->block_columns;
    const int8_t *w = k->weights;
    const uint16_t *column = k->columns, *count = k->counts;
    int32_t sum[8];
    int32_t t = height; /* row within its row of blocks */
    for (int32_t r = 0; r < rows; r++) {
        if (t == height) { /* the sums of the next row of blocks; the last may reach beyond the matrix */
            for (t = 0; t < height; t++) {
                sum[t] = 0;
            }
            for (int32_t n = *count++; n > 0; n--) {
                const x_t *piece = x + *column++;
                for (t = 0; t < height; t++) {
                    int32_t s = sum[t];
                    for (int32_t i = 0; i < width; i++) {
                        s += *w++ * piece[i];
                    }
                    sum[t] = s;
                }
            }
            t = 0;
        }
        const int32_t s = k->bias ? k->bias[r] + sum[t] : sum[t];
        const int32_t v = k->zero + hmdc_requant(s, k->mult[r * k->mult_step], k->shift);
        y[r] = (y_t)hmdc_clamp(add ? add[r] + v : v, k->lo, k->hi);
        t++;
    }
}
