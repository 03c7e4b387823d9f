/* y[p,r,q] = clamp(zero + add[p,r,q] + requant_r(bias[r] + sum_k w[r,k] x[p,k,q])).
 * numpy: hmdc/kernels/matmul.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define x_t int8_t
#define y_t int8_t
#endif

struct hmdc_matmul {
    const int8_t *weights; /* [rows, columns] */
    const int32_t *bias;   /* [rows], with bias_each [p, rows, q], or null */
    const int32_t *mult;   /* [rows] with mult_step 1, [1] with mult_step 0 */
    int32_t mult_step, shift;
    int32_t bias_each;
    int32_t p, rows, columns, q;
    int32_t zero, lo, hi;
};

/* x: [p, columns, q]; y: [p, rows, q]; start: [rows], or null; add: as y, or null. */
static void hmdc_matmul(const struct hmdc_matmul *k, const x_t *x, const int32_t *start, const int32_t *add, y_t *y)
{
    const int32_t *bias = start ? start : k->bias;
    const int32_t rows = k->rows, columns = k->columns, q = k->q;
    for (int32_t p = 0; p < k->p; p++) {
        const int8_t *w = k->weights;
        /* 4 rows share every load of x where x is one vector */
        for (int32_t r = 0, tile; r < rows; r += tile) {
            tile = q == 1 && rows - r >= 4 ? 4 : 1;
            for (int32_t j = 0; j < q; j++) {
                int32_t sum[4];
                for (int32_t t = 0; t < tile; t++) {
                    sum[t] = bias ? bias[k->bias_each ? (r + t) * q + j : r + t] : 0;
                }
                if (tile == 4) {
                    const int8_t *w1 = w + columns, *w2 = w1 + columns, *w3 = w2 + columns;
                    int32_t s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
                    for (int32_t i = 0; i < columns; i++) {
                        const int32_t v = x[i];
                        s0 += w[i] * v;
                        s1 += w1[i] * v;
                        s2 += w2[i] * v;
                        s3 += w3[i] * v;
                    }
                    sum[0] = s0, sum[1] = s1, sum[2] = s2, sum[3] = s3;
                } else {
                    int32_t s = sum[0];
                    for (int32_t i = 0; i < columns; i++) {
                        s += w[i] * x[i * q + j];
                    }
                    sum[0] = s;
                }
                for (int32_t t = 0; t < tile; t++) {
                    const int32_t v = k->zero + hmdc_requant(sum[t], k->mult[(r + t) * k->mult_step], k->shift);
                    *y++ = (y_t)hmdc_clamp(add ? *add++ + v : v, k->lo, k->hi);
                }
            }
            w += tile * columns;
        }
        x += columns * q;
        bias += k->bias_each ? rows * q : 0;
    }
}
