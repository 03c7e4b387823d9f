/* y[r] = clamp(zero + add[r] + requant_r(bias[r] + sum over kept blocks w[r,k] x[k])).
 * numpy: hmdc/kernels/block_spmv.py */
#ifndef HMDC_GENERATED
#include "math.h"
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
    struct hmdc_finish finish = {k->mult, k->mult_step, k->shift, k->zero, k->lo, k->hi, sizeof(y_t), 1};
    for (int32_t r = 0; r < rows; r += height) {
        const int32_t here = rows - r < height ? rows - r : height; /* the last row of blocks may reach beyond the matrix */
        int32_t sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        for (int32_t t = 0; t < here && k->bias; t++) {
            sum[t] = k->bias[r + t];
        }
        for (int32_t n = *count++; n > 0; n--) {
            const void *piece = x + *column++;
            for (int32_t t = 0; t < height; t++, w += width) {
                sum[t] = sizeof(x_t) == 1 ? hmdc_dot8(w, piece, width, sum[t]) : hmdc_dot16(w, piece, width, sum[t]);
            }
        }
        hmdc_finish_sums(&finish, sum, here, add ? add + r : add, y + r);
        finish.mult += height * k->mult_step;
    }
}
