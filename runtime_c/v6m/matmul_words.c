/* y[p,r,q] = clamp(zero + add[p,r,q] + requant_r(start[r] + sum_k w[r,k] x[p,k,q])).  numpy: hmdc/isa/v6m.py */
#ifndef HMDC_GENERATED
#include "math.h"
#define y_t int8_t
#endif

struct hmdc_matmul_words {
    const uint8_t *weights; /* groups of 8 rows, see hmdc_rows */
    const int32_t *bias;    /* [rows], with bias_each [p, q, rows], filled up to whole groups */
    const int32_t *mult;    /* [rows] with mult_step 1, [1] with mult_step 0 */
    int32_t mult_step, shift;
    int32_t bias_each;
    int32_t p, q, rows, columns;
    int32_t zero, lo, hi;
};

/* x: from hmdc_words; y: [p, rows, q]; start: [rows], or null; add: as y, or null. */
static void hmdc_matmul_words(const struct hmdc_matmul_words *k, const int32_t *x, const int32_t *start,
                              const int32_t *add, y_t *y)
{
    const int32_t rows = k->rows, q = k->q, scale = 1 << k->shift, zero = k->zero, lo = k->lo, hi = k->hi;
    const int32_t *bias = k->bias;
    for (int32_t p = 0; p < k->p; p++) {
        for (int32_t j = 0; j < q; j++) {
            const int32_t *x_end = x + 1 + k->columns, *mult = k->mult;
            const uint8_t *w = k->weights;
            int32_t at = p * rows * q + j;
            for (int32_t r = 0; r < rows; r += 8) {
                int32_t sum[8];
                for (int32_t i = 0; i < 8; i++)
                    sum[i] = bias[r + i];
                w = hmdc_rows(w, x, x_end, sum);
                for (int32_t i = 0; i < 8 && r + i < rows; i++, at += q, mult += k->mult_step) {
                    const int32_t s = start ? start[r + i] + sum[i] : sum[i];
                    const int32_t v = zero + hmdc_mulr(s * scale, *mult);
                    y[at] = (y_t)hmdc_clamp(add ? add[at] + v : v, lo, hi);
                }
            }
            bias += k->bias_each ? (rows + 7) & ~7 : 0;
            x = x_end;
        }
    }
}
