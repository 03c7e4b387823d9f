/* y[p,r,q] = clamp(zero + add[p,r,q] + requant_r(start[r] + sum_k w[r,k] x[p,q,k])).  numpy: hmdc/isa/dsp.py */
#ifndef HMDC_GENERATED
#include "math.h"
#define y_t int8_t
#endif

struct hmdc_matmul_pairs {
    const uint32_t *weights; /* groups of 4 rows, see hmdc_pairs */
    const int32_t *bias;     /* [rows], filled up to whole groups */
    const int32_t *mult;     /* [rows] with mult_step 1, [1] with mult_step 0 */
    int32_t mult_step, shift;
    int32_t p, q, rows, columns; /* columns: with those that fill up */
    int32_t zero, lo, hi;
};

/* x: [p, q, columns], widened; y: [p, rows, q]; start: [rows], or null; add: as y, or null. */
static void hmdc_matmul_pairs(const struct hmdc_matmul_pairs *k, const int16_t *x, const int32_t *start,
                              const int32_t *add, y_t *y)
{
    const int32_t rows = k->rows, columns = k->columns, q = k->q, scale = 1 << k->shift;
    int32_t sum[32];
    for (int32_t i = 0; i < k->p; i++) {
        for (int32_t j = 0; j < q; j++, x += columns) {
            struct hmdc_pairs p = {x, x + (columns & ~15), x + columns, 0, 0, k->weights, k->bias, 0, 0};
            const int32_t *mult = k->mult;
            int32_t at = i * rows * q + j;
            for (int32_t r = 0; r < rows; r += 32) {
                const int32_t n = rows - r < 32 ? rows - r : 32;
                p.y = sum;
                p.y_end = sum + ((n + 3) & ~3);
                hmdc_pairs_raw(&p);
                for (int32_t t = 0; t < n; t++) {
                    const int32_t s = start ? start[r + t] + sum[t] : sum[t];
                    const int32_t v = k->zero + hmdc_mulr(s * scale, *mult);
                    y[at] = (y_t)hmdc_clamp(add ? add[at] + v : v, k->lo, k->hi);
                    mult += k->mult_step;
                    at += q;
                }
            }
        }
    }
}
