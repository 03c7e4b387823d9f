/* y[r] = clamp(zero + add[r] + requant_r(bias[r] + sum over kept w[r,k] x[k])).  numpy: hmdc/kernels/spmv.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define x_t int8_t
#define y_t int8_t
#endif

struct hmdc_spmv {
    const int8_t *weights;  /* kept entries, row after row */
    const int32_t *bias;    /* [rows], or null */
    const uint8_t *gaps;    /* per entry: columns since the last one of its row; the first counts from column 0 */
    const uint16_t *counts; /* [rows]: entries */
    const int32_t *mult;    /* [rows] with mult_step 1, [1] with mult_step 0 */
    int32_t mult_step, shift;
    int32_t rows;
    int32_t zero, lo, hi;
};

/* add: [rows], or null. */
static void hmdc_spmv(const struct hmdc_spmv *k, const x_t *x, const int32_t *add, y_t *y)
{
    const int32_t rows = k->rows;
    const int8_t *w = k->weights;
    const uint8_t *gap = k->gaps;
    for (int32_t r = 0; r < rows; r++) {
        const x_t *at = x;
        int32_t sum = k->bias ? k->bias[r] : 0;
        for (int32_t n = k->counts[r]; n > 0; n--) {
            at += *gap++;
            sum += *w++ * *at;
        }
        const int32_t v = k->zero + hmdc_requant(sum, k->mult[r * k->mult_step], k->shift);
        y[r] = (y_t)hmdc_clamp(add ? add[r] + v : v, k->lo, k->hi);
    }
}
