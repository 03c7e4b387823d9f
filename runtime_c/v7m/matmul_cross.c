/* y[p,r,q] = clamp(zero + add[p,r,q] + requant_r(start[r] + sum_k w[r,k] x[p,k,q])).  numpy: hmdc/isa/v7m.py */
#ifndef HMDC_GENERATED
#include "math.h"
#define y_t int8_t
#endif

struct hmdc_matmul_cross {
    const uint32_t *weights; /* groups of 4 rows, see hmdc_products */
    const int32_t *bias;     /* [rows], with bias_each [p, q, rows], filled up to whole groups */
    const int32_t *mult;     /* [rows] with mult_step 1, [1] with mult_step 0 */
    int32_t mult_step, shift;
    int32_t bias_each;
    int32_t p, q, rows, columns;
    int32_t zero, lo, hi;
};

/* x: from hmdc_cross; y: [p, rows, q]; start: [rows], or null; add: as y, or null. */
static void hmdc_matmul_cross(const struct hmdc_matmul_cross *k, const int32_t *x, const int32_t *start,
                              const int32_t *add, y_t *y)
{
    const int32_t rows = k->rows, q = k->q, words = (k->columns + 3) & ~3, scale = 1 << k->shift;
    int32_t sum[32];
    for (int32_t i = 0; i < k->p * q; i++, x += words) {
        const int32_t *bias = k->bias + (k->bias_each ? i * ((rows + 3) & ~3) : 0), *mult = k->mult;
        struct hmdc_products p = {x, x + words, x, x + words, k->weights, bias, 0, 0, sum, sum};
        int32_t at = i / q * rows * q + i % q;
        for (int32_t r = 0; r < rows; r += 32) {
            const int32_t n = rows - r < 32 ? rows - r : 32;
            p.y = sum;
            p.y_end = sum + ((n + 3) & ~3);
            hmdc_products_groups(&p);
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
