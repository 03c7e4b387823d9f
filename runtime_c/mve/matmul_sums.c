/* y[r] = requant_r(start[r] + sum_k w[r,k] x[k]).  numpy: hmdc/isa/mve.py */
#ifndef HMDC_GENERATED
#include "quads.h"
#endif

struct hmdc_matmul_sums {
    const int8_t *weights; /* quads, see hmdc_quads; then the remaining rows */
    const int32_t *bias;   /* [rows], or null */
    const int32_t *mult;   /* [rows] */
    int32_t shift;
    int32_t rows, columns;
};

/* x: [columns]; start: [rows], or null; it takes the place of the bias. */
static void hmdc_matmul_sums(const struct hmdc_matmul_sums *k, const int8_t *x, const int32_t *start, int32_t *y)
{
    const int32_t columns = k->columns, whole = k->rows & ~3;
    const int32_t *from = start ? start : k->bias;
    if (whole > 0) {
        struct hmdc_quads q = hmdc_quads_of(k->weights, x, columns, 16);
        q.start = from;
        q.mult = k->mult;
        q.shift = k->shift;
        q.y = y;
        q.y_end = y + whole;
        hmdc_quads_sums(&q);
    }
    for (int32_t r = whole; r < k->rows; r++) {
        const int32_t sum = hmdc_dot8(k->weights + r * columns, x, columns, from[r]);
        y[r] = hmdc_requant(sum, k->mult[r], k->shift);
    }
}
