/* y[p,r,q] = clamp(zero + add[p,r,q] + requant_r(start[r] + sum_k w[r,k] x[p,q,k])).  numpy: hmdc/isa/mve.py */
#ifndef HMDC_GENERATED
#include "quads.h"
#define x_t int8_t
#define y_t int8_t
#endif

struct hmdc_matmul_quads {
    const int8_t *weights; /* quads, see hmdc_quads; then the remaining rows */
    const int32_t *bias;   /* [rows], or with bias_each [p, q, rows], or null */
    const int32_t *mult;   /* [rows] with mult_step 1, [1] with mult_step 0 */
    int32_t mult_step, shift;
    int32_t bias_each;
    int32_t p, q, rows, columns;
    int32_t zero, lo, hi;
};

/* x: [p, q, columns]; y: [p, rows, q]; start: [rows], or null, in place of the bias; add: as y, or null. */
static void hmdc_matmul_quads(const struct hmdc_matmul_quads *k, const x_t *x, const int32_t *start,
                              const int32_t *add, y_t *y)
{
    const int32_t rows = k->rows, step = k->q;
    const int32_t *from = start ? start : k->bias;
    int32_t sum[32];
    for (int32_t i = 0; i < k->p * step; i++, x += k->columns) {
        struct hmdc_quads q = hmdc_quads_of(k->weights, x, k->columns, sizeof(x_t) == 1 ? 16 : 8);
        struct hmdc_finish finish = {k->mult, k->mult_step, k->shift, k->zero, k->lo, k->hi, sizeof(y_t), step};
        for (int32_t r = 0; r < rows; r += 32) {
            const int32_t n = rows - r < 32 ? rows - r : 32, at = (i / step * rows + r) * step + i % step;
            q.weights = k->weights + r * k->columns;
            q.start = from + r;
            hmdc_quads_any(&q, k->columns, n, sum, sizeof(x_t) == 2);
            finish.mult = k->mult + r * k->mult_step;
            hmdc_finish_sums(&finish, sum, n, add ? add + at : add, y + at);
        }
        from += k->bias_each ? rows : 0;
    }
}
