/* y[p,r,q] = clamp(add[p,r,q] + bias[r] + sum_k w[r,k] x[p,k,q]).  numpy: hmdc/kernels/matmul.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_matmul_f32 {
    const float *weights; /* [rows, columns] */
    const float *bias;    /* [rows], with bias_each [p, rows, q], or null */
    int32_t bias_each;
    int32_t p, rows, columns, q;
    float lo, hi;
};

/* x: [p, columns, q]; y: [p, rows, q]; start: [rows], or null; add: as y, or null. */
static void hmdc_matmul_f32(const struct hmdc_matmul_f32 *k, const float *x, const float *start, const float *add,
                            float *y)
{
    const float *bias = start ? start : k->bias;
    const int32_t rows = k->rows, columns = k->columns, q = k->q;
    for (int32_t p = 0; p < k->p; p++) {
        const float *w = k->weights;
        /* 4 rows share every load of x where x is one vector */
        for (int32_t r = 0, tile; r < rows; r += tile) {
            tile = q == 1 && rows - r >= 4 ? 4 : 1;
            for (int32_t j = 0; j < q; j++) {
                float sum[4];
                for (int32_t t = 0; t < tile; t++) {
                    sum[t] = bias ? bias[k->bias_each ? (r + t) * q + j : r + t] : 0.0f;
                }
                if (tile == 4) {
                    const float *w1 = w + columns, *w2 = w1 + columns, *w3 = w2 + columns;
                    float s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
                    for (int32_t i = 0; i < columns; i++) {
                        const float v = x[i];
                        s0 += w[i] * v;
                        s1 += w1[i] * v;
                        s2 += w2[i] * v;
                        s3 += w3[i] * v;
                    }
                    sum[0] = s0, sum[1] = s1, sum[2] = s2, sum[3] = s3;
                } else {
                    float s = sum[0];
                    for (int32_t i = 0; i < columns; i++) {
                        s += w[i] * x[i * q + j];
                    }
                    sum[0] = s;
                }
                for (int32_t t = 0; t < tile; t++) {
                    const float v = add ? *add++ + sum[t] : sum[t];
                    *y++ = hmdc_clampf(v, k->lo, k->hi);
                }
            }
            w += tile * columns;
        }
        x += columns * q;
        bias += k->bias_each ? rows * q : 0;
    }
}
