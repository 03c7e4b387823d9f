/* y[r] = clamp(add[r] + bias[r] + sum over kept w[r,k] x[k]).  numpy: hmdc/kernels/spmv.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_spmv_f32 {
    const float *weights;   /* kept entries, row after row */
    const float *bias;      /* [rows], or null */
    const uint8_t *gaps;    /* per entry: columns since the last one of its row; the first counts from column 0 */
    const uint16_t *counts; /* [rows]: entries */
    int32_t rows;
    float lo, hi;
};

/* add: [rows], or null. */
static void hmdc_spmv_f32(const struct hmdc_spmv_f32 *k, const float *x, const float *add, float *y)
{
    const int32_t rows = k->rows;
    const float *w = k->weights;
    const uint8_t *gap = k->gaps;
    for (int32_t r = 0; r < rows; r++) {
        const float *at = x;
        float sum = k->bias ? k->bias[r] : 0.0f;
        for (int32_t n = k->counts[r]; n > 0; n--) {
            at += *gap++;
            sum += *w++ * *at;
        }
        y[r] = hmdc_clampf(add ? add[r] + sum : sum, k->lo, k->hi);
    }
}
