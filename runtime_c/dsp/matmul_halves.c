/* y[p,r,q] = clamp(zero + add[p,r,q] + requant_r(bias[r] + sum_k w[r,k] x[p,q,k])).  numpy: hmdc/isa/dsp/products.py */
#ifndef HMDC_GENERATED
#include "halves.h"
#define y_t int8_t
#endif

struct hmdc_matmul_halves {
    const uint32_t *weights; /* see hmdc_halves */
    const int32_t *bias;     /* [rows], with bias_each [p, rows, q], or null */
    const int32_t *mult;     /* [rows] with mult_step 1, [1] with mult_step 0 */
    int32_t mult_step, shift;
    int32_t bias_each;
    int32_t p, q, rows, columns; /* columns: with those that fill up */
    int32_t zero, lo, hi;
};

/* x: [p, q, columns], widened; y: [p, rows, q]; add: as y, or null. */
static void hmdc_matmul_halves(const struct hmdc_matmul_halves *k, const int16_t *x, const int32_t *add, y_t *y)
{
    const int32_t rows = k->rows, columns = k->columns, q = k->q, vectors = k->p * q;
    const int32_t *bias = k->bias;
    int32_t sum[32];
    for (int32_t i = 0; i < vectors; i += 2, x += 2 * columns) {
        const int32_t both = i + 1 < vectors;
        struct hmdc_halves p = {x, x + columns, both ? x + columns : x, k->weights, sum, sum};
        for (int32_t r = 0; r < rows; r += 16) {
            const int32_t n = rows - r < 16 ? rows - r : 16;
            p.y = sum;
            p.y_end = sum + ((2 * n + 3) & ~3);
            hmdc_halves_sums(&p);
            for (int32_t j = 0; j <= both; j++) {
                int32_t at = ((i + j) / q * rows + r) * q + (i + j) % q;
                for (int32_t t = 0; t < n; t++, at += q) {
                    const int32_t s = sum[2 * t + j] + (bias ? bias[k->bias_each ? at : r + t] : 0);
                    const int32_t v = k->zero + hmdc_requant(s, k->mult[(r + t) * k->mult_step], k->shift);
                    y[at] = (y_t)hmdc_clamp(add ? add[at] + v : v, k->lo, k->hi);
                }
            }
        }
    }
}
