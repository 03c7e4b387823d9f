/* y[r] = clamp(add[r] + bias[r] + sum over kept blocks w[r,k] x[k]).  numpy: hmdc/kernels/block_spmv.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_block_spmv_f32 {
    const float *weights;    /* kept blocks [block_rows, block_columns], row of blocks after row of blocks */
    const float *bias;       /* [rows], or null */
    const uint16_t *columns; /* per block: its first column */
    const uint16_t *counts;  /* per row of blocks: its blocks */
    int32_t rows, block_rows, block_columns; /* block_rows: 1..8 */
    float lo, hi;
};

/* add: [rows], or null. */
static void hmdc_block_spmv_f32(const struct hmdc_block_spmv_f32 *k, const float *x, const float *add, float *y)
{
    const int32_t rows = k->rows, height = k->block_rows, width = k->block_columns;
    const float *w = k->weights;
    const uint16_t *column = k->columns, *count = k->counts;
    float sum[8];
    int32_t t = height; /* row within its row of blocks */
    for (int32_t r = 0; r < rows; r++) {
        if (t == height) { /* the sums of the next row of blocks; the last may reach beyond the matrix */
            for (t = 0; t < height; t++) {
                sum[t] = 0.0f;
            }
            for (int32_t n = *count++; n > 0; n--) {
                const float *piece = x + *column++;
                for (t = 0; t < height; t++) {
                    float s = sum[t];
                    for (int32_t i = 0; i < width; i++) {
                        s += *w++ * piece[i];
                    }
                    sum[t] = s;
                }
            }
            t = 0;
        }
        const float v = k->bias ? k->bias[r] + sum[t] : sum[t];
        y[r] = hmdc_clampf(add ? add[r] + v : v, k->lo, k->hi);
        t++;
    }
}
