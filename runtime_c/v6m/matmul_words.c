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
    const int32_t rows = k->rows, q = k->q, words = 1 + k->columns, scale = 1 << k->shift;
    const int32_t zero = k->zero, lo = k->lo, hi = k->hi;
    for (int32_t i = 0; i < k->p * q; i++, x += words) {
        const int32_t *bias = k->bias + (k->bias_each ? i * ((rows + 7) & ~7) : 0), *mult = k->mult;
        struct hmdc_rows p = {k->weights, x, x + words, bias, {0}};
        int32_t at = i / q * rows * q + i % q;
        for (int32_t r = 0; r < rows; p.start += 8) {
            hmdc_rows_add(&p);
            for (int32_t t = 0; t < 8 && r < rows; t++, r++, at += q, mult += k->mult_step) {
                const int32_t s = start ? start[r] + p.sum[t] : p.sum[t];
                const int32_t v = zero + hmdc_mulr(s * scale, *mult);
                y[at] = (y_t)hmdc_clamp(add ? add[at] + v : v, lo, hi);
            }
        }
    }
}
