/* y[r] = sat16(requant_r(start[r] + sum_k w[r,k] x[k])).  numpy: hmdc/isa/v7m.py */
#ifndef HMDC_GENERATED
#include "math.h"
#endif

struct hmdc_matmul_gates {
    const uint32_t *weights; /* groups of 4 rows, see hmdc_products */
    const int32_t *bias;     /* [rows] */
    const int32_t *mult;     /* [rows], filled up to whole groups */
    int32_t rows, columns;
};

/* x: from hmdc_cross; start: [rows], or null; it takes the place of the bias. */
static void hmdc_matmul_gates(const struct hmdc_matmul_gates *k, const int32_t *x, const int32_t *start, int16_t *y)
{
    const int32_t whole = k->rows & ~3, rest = k->rows & 3;
    struct hmdc_products p = hmdc_products_of(x, k->columns, k->weights);
    p.start = start ? start : k->bias;
    p.mult = k->mult;
    if (whole > 0) {
        p.y = y;
        p.y_end = y + whole;
        hmdc_products_groups(&p);
    }
    if (rest > 0) {
        int32_t first[4] = {0, 0, 0, 0};
        int16_t last[4];
        for (int32_t i = 0; i < rest; i++)
            first[i] = p.start[i];
        p.start = first;
        p.y = last;
        p.y_end = last + 4;
        hmdc_products_groups(&p);
        for (int32_t i = 0; i < rest; i++)
            y[whole + i] = last[i];
    }
}
