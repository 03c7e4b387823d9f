/* y[p,r] = clamp(add[p,r] + bias[r] + sum_k w[r,k] x[p,k]), p > 1: two vectors share each read of the weights.
 * numpy: hmdc/kernels/matmul.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_matmul_vectors_f32 {
    const float *weights; /* [rows, columns] */
    const float *bias;    /* [rows], or null */
    int32_t bias_each;    /* 0 */
    int32_t p, rows, columns, q; /* q: 1 */
    float lo, hi;
};

/* x: [p, columns]; y: [p, rows]; add: as y, or null; start: null. */
static void hmdc_matmul_vectors_f32(const struct hmdc_matmul_vectors_f32 *k, const float *x, const float *start,
                                    const float *add, float *y)
{
    const int32_t rows = k->rows, columns = k->columns;
    (void)start;
    for (int32_t p = 0; p < k->p; p += 2, x += 2 * columns) {
        const int32_t second = p + 1 < k->p; /* else the last vector, and likewise the last row, is its own neighbor */
        const float *x1 = x + (second ? columns : 0);
        for (int32_t r = 0; r < rows; r += 2) {
            const int32_t next = r + 1 < rows ? 1 : 0;
            const float *w = k->weights + r * columns, *w1 = w + next * columns;
            const float bias = k->bias ? k->bias[r] : 0.0f, bias1 = k->bias ? k->bias[r + next] : 0.0f;
            float s0 = bias, s1 = bias, s2 = bias1, s3 = bias1;
            for (int32_t i = 0; i < columns; i++) {
                const float a = w[i], b = w1[i];
                s0 += a * x[i];
                s1 += a * x1[i];
                s2 += b * x[i];
                s3 += b * x1[i];
            }
            const float sum[4] = {s0, s1, s2, s3}; /* row by row */
            for (int32_t t = 0; t < 4; t++) {
                const int32_t row = r + (t >> 1) * next, at = (p + (t & second)) * rows + row;
                y[at] = hmdc_clampf(add ? add[at] + sum[t] : sum[t], k->lo, k->hi);
            }
        }
    }
}
