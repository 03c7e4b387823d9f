/* y[r] = clamp(zero + add[r] + requant_r(start[r] + sum_k w[r,k] x[k])).  numpy: hmdc/isa/dsp/products.py */
#ifndef HMDC_GENERATED
#include "halves.h"
#define y_t int8_t
#endif

struct hmdc_matmul_vector {
    const uint32_t *weights; /* see hmdc_vector */
    const int32_t *bias;     /* [rows], or null */
    const int32_t *mult;     /* [rows] with mult_step 1, [1] with mult_step 0 */
    int32_t mult_step, shift;
    int32_t rows, columns; /* columns: with those that fill up */
    int32_t zero, lo, hi;
};

/* x: [columns], widened; start: [rows], or null; add: as y, or null. */
static void hmdc_matmul_vector(const struct hmdc_matmul_vector *k, const int16_t *x, const int32_t *start,
                               const int32_t *add, y_t *y)
{
    const int32_t rows = k->rows, *bias = start ? start : k->bias, *mult = k->mult;
    int32_t sum[32];
    struct hmdc_vector p = {x, x + k->columns, k->weights, sum, sum};
    for (int32_t r = 0; r < rows; r += 32) {
        const int32_t n = rows - r < 32 ? rows - r : 32;
        p.y = sum;
        p.y_end = sum + ((n + 3) & ~3);
        hmdc_vector_sums(&p);
        for (int32_t t = 0; t < n; t++, mult += k->mult_step) {
            const int32_t s = bias ? sum[t] + bias[r + t] : sum[t];
            const int32_t v = k->zero + hmdc_requant(s, *mult, k->shift);
            y[r + t] = (y_t)hmdc_clamp(add ? add[r + t] + v : v, k->lo, k->hi);
        }
    }
}
