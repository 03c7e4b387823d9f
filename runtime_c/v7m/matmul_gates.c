/* y[r] = sat16(requant_r(start[r] + sum_k w[r,k] x[k])); with a second operand h:
 * y[r] = sat16(requant_r(x_requant_r(start[r] + sum_k w[r,k] x[k]) + sum_k u[r,k] h[k])).  numpy: hmdc/isa/v7m.py */
#ifndef HMDC_GENERATED
#include "math.h"
#endif

struct hmdc_matmul_gates {
    const uint32_t *weights; /* groups of 4 rows, see hmdc_products */
    const int32_t *bias;     /* [rows], or null where there is a start */
    const int32_t *mult;     /* groups of 4 rows: from x to the sums of h, if there is h; from the sums to y */
    int32_t x_shift;
    int32_t rows, columns, h_columns; /* columns: of x and h */
};

/* x and h, or null: from hmdc_cross; start: [rows], in place of the bias, or null. */
static void hmdc_matmul_gates(const struct hmdc_matmul_gates *k, const int32_t *x, const int32_t *h,
                              const int32_t *start, int16_t *y)
{
    const int32_t whole = k->rows & ~3, rest = k->rows & 3;
    const int32_t *x_end = x + ((k->columns + 3) & ~3), *h_end = h ? h + ((k->h_columns + 3) & ~3) : x_end;
    struct hmdc_products p = {
        .x = x,
        .x_end = x_end,
        .h = h ? h : x,
        .h_end = h_end,
        .weights = k->weights,
        .start = start ? start : k->bias,
        .mult = k->mult,
        .shift = k->x_shift,
        .y = y,
        .y_end = y + whole,
    };
    if (whole > 0)
        hmdc_products_groups(&p);
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
