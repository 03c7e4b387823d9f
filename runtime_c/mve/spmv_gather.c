/* y[r] = clamp(zero + add[r] + requant_r(bias[r] + sum over kept w[r,k] x[k])).  numpy: hmdc/isa/mve.py */
#ifndef HMDC_GENERATED
#include "math.h"
#define x_t int8_t
#define y_t int8_t
#endif

struct hmdc_spmv_gather {
    const int8_t *weights;  /* kept entries, row after row */
    const int32_t *bias;    /* [rows], or null */
    const uint8_t *columns; /* per entry: its column within its panel */
    const uint16_t *counts; /* [rows, panels]: entries */
    const int32_t *mult;    /* [rows] with mult_step 1, [1] with mult_step 0 */
    int32_t mult_step, shift;
    int32_t rows, panels; /* a panel: 256 columns */
    int32_t zero, lo, hi;
};

/* add: [rows], or null. */
static void hmdc_spmv_gather(const struct hmdc_spmv_gather *k, const x_t *x, const int32_t *add, y_t *y)
{
    const int32_t panels = k->panels;
    const int32_t *bias = k->bias;
    const int8_t *w = k->weights;
    const uint8_t *column = k->columns;
    const uint16_t *count = k->counts;
    struct hmdc_finish finish = {k->mult, k->mult_step, k->shift, k->zero, k->lo, k->hi, sizeof(y_t), 1};
    int32_t sum[32];
    for (int32_t r = 0; r < k->rows; r += 32) {
        const int32_t rows = k->rows - r < 32 ? k->rows - r : 32;
        for (int32_t t = 0; t < rows; t++) {
            int32_t s = bias ? bias[r + t] : 0;
            const x_t *panel = x;
            for (int32_t i = 0; i < panels; i++, panel += 256) {
                const int32_t n = *count++;
                s = sizeof(x_t) == 1 ? hmdc_gather_dot8(w, column, (const void *)panel, n, s)
                                     : hmdc_gather_dot16(w, column, (const void *)panel, n, s);
                w += n;
                column += n;
            }
            sum[t] = s;
        }
        hmdc_finish_sums(&finish, sum, rows, add ? add + r : add, y + r);
        finish.mult += 32 * k->mult_step;
    }
}
