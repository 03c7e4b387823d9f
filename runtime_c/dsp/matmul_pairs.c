/* y[p,r,q] = clamp(zero + add[p,r,q] + requant_r(start[r] + sum_k w[r,k] x[p,q,k])).  numpy: hmdc/isa/dsp/products.py */
#ifndef HMDC_GENERATED
#include "pairs.h"
#define y_t int8_t
#endif

struct hmdc_matmul_pairs {
    const uint32_t *weights; /* groups of 4 rows, see hmdc_pairs */
    const int32_t *bias;     /* [rows], with bias_each [p, q, rows], rows filled up to whole groups */
    const int32_t *mult;     /* likewise with mult_step 0; 4 times the only one with mult_step -16 */
    int32_t mult_step, shift;
    int32_t bias_each;
    int32_t p, q, rows, columns; /* columns: with those that fill up */
    int32_t zero, lo, hi;
};

/* x: [p, q, columns], widened; y: [p, rows, q]; start: [rows], or null; add: as y, or null. */
static void hmdc_matmul_pairs(const struct hmdc_matmul_pairs *k, const int16_t *x, const int32_t *start,
                              const int32_t *add, y_t *y)
{
    const int32_t rows = k->rows, columns = k->columns, q = k->q;
    const int32_t *bias = k->bias;
    int32_t result[32];
    for (int32_t i = 0; i < k->p * q; i++, x += columns) {
        struct hmdc_pairs p = {
            .x = x,
            .x_end = x + columns,
            .h = x,
            .h_end = x + columns,
            .weights = k->weights,
            .start = bias,
            .mult = k->mult,
            .mult_step = k->mult_step,
            .shift = k->shift,
            .wide = 1,
        };
        int32_t at = i / q * rows * q + i % q;
        for (int32_t r = 0; r < rows; r += 32) {
            const int32_t n = rows - r < 32 ? rows - r : 32;
            if (start) {
                for (int32_t t = 0; t < ((n + 3) & ~3); t++)
                    result[t] = bias[r + t] + (t < n ? start[r + t] : 0);
                p.start = result; /* each group is read before it is written */
            }
            p.y = result;
            p.y_end = result + ((n + 3) & ~3);
            hmdc_pairs_multiply(&p);
            for (int32_t t = 0; t < n; t++, at += q) {
                const int32_t v = k->zero + result[t];
                y[at] = (y_t)hmdc_clamp(add ? add[at] + v : v, k->lo, k->hi);
            }
        }
        bias += k->bias_each ? (rows + 3) & ~3 : 0;
    }
}
