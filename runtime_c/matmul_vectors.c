/* y[p,r] = clamp(zero + add[p,r] + requant_r(bias[r] + sum_k w[r,k] x[p,k])),
 * p > 1: two vectors share each read of the weights.  numpy: hmdc/kernels/matmul.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define x_t int8_t
#define y_t int8_t
#endif

struct hmdc_matmul_vectors {
    const int8_t *weights; /* [rows, columns] */
    const int32_t *bias;   /* [rows], or null */
    const int32_t *mult;   /* [rows] with mult_step 1, [1] with mult_step 0 */
    int32_t mult_step, shift;
    int32_t bias_each;     /* 0 */
    int32_t p, rows, columns, q; /* q: 1 */
    int32_t zero, lo, hi;
};

/* x: [p, columns]; y: [p, rows]; add: as y, or null; start: null. */
static void hmdc_matmul_vectors(const struct hmdc_matmul_vectors *k, const x_t *x, const int32_t *start,
                                const int32_t *add, y_t *y)
{
    const int32_t rows = k->rows, columns = k->columns;
    (void)start;
    for (int32_t p = 0; p < k->p; p += 2, x += 2 * columns) {
        const int32_t second = p + 1 < k->p; /* else the last vector, and likewise the last row, is its own neighbor */
        const x_t *x1 = x + (second ? columns : 0);
        for (int32_t r = 0; r < rows; r += 2) {
            const int32_t next = r + 1 < rows ? 1 : 0;
            const int8_t *w = k->weights + r * columns, *w1 = w + next * columns;
            const int32_t bias = k->bias ? k->bias[r] : 0, bias1 = k->bias ? k->bias[r + next] : 0;
            int32_t s0 = bias, s1 = bias, s2 = bias1, s3 = bias1;
            for (int32_t i = 0; i < columns; i++) {
                const int32_t a = w[i], b = w1[i];
                s0 += a * x[i];
                s1 += a * x1[i];
                s2 += b * x[i];
                s3 += b * x1[i];
            }
            const int32_t sum[4] = {s0, s1, s2, s3}; /* row by row */
            for (int32_t t = 0; t < 4; t++) {
                const int32_t row = r + (t >> 1) * next, at = (p + (t & second)) * rows + row;
                const int32_t v = k->zero + hmdc_requant(sum[t], k->mult[row * k->mult_step], k->shift);
                y[at] = (y_t)hmdc_clamp(add ? add[at] + v : v, k->lo, k->hi);
            }
        }
    }
}
