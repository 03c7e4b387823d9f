/* y[r] = sat16(requant_r(start[r] + sum_k w[r,k] x[k])); with a second operand h:
 * y[r] = sat16(requant_r(x_requant_r(start[r] + sum_k w[r,k] x[k]) + sum_k u[r,k] h[k])).  numpy: hmdc/isa/v6m.py */
#ifndef HMDC_GENERATED
#include "math.h"
#endif

struct hmdc_matmul_gates {
    const uint8_t *weights; /* groups of 8 rows, see hmdc_rows; those of x, then those of h */
    const int32_t *bias;    /* [rows], or null where there is a start */
    const int32_t *mult;    /* groups of 8 rows: from x to the sums of h, if there is h; from the sums to y */
    int32_t x_shift;
    int32_t rows, columns, h_columns; /* columns: of x and h */
};

/* x and h, or null: from hmdc_words; start: [rows], in place of the bias, or null. */
static void hmdc_matmul_gates(const struct hmdc_matmul_gates *k, const int32_t *x, const int32_t *h,
                              const int32_t *start, int16_t *y)
{
    const int32_t *mult = k->mult, *x_end = x + 1 + k->columns;
    struct hmdc_rows p = {k->weights, x, x_end, start ? start : k->bias, {0}};
    for (int32_t left = k->rows; left > 0; left -= 8, mult += 8) {
        const int32_t n = left < 8 ? left : 8, *next = p.start + n;
        if (n < 8) {
            for (int32_t i = 0; i < n; i++)
                p.sum[i] = p.start[i];
            p.start = p.sum;
        }
        hmdc_rows_add(&p);
        if (h) {
            for (int32_t i = 0; i < n; i++)
                p.sum[i] = hmdc_mulr(p.sum[i] * (1 << k->x_shift), mult[i]);
            mult += 8;
            p.x = h;
            p.x_end = h + 1 + k->h_columns;
            p.start = p.sum;
            hmdc_rows_add(&p);
            p.x = x;
            p.x_end = x_end;
        }
        for (int32_t i = 0; i < n; i++)
            *y++ = (int16_t)hmdc_sat16(hmdc_mulr(p.sum[i], mult[i]));
        p.start = next;
    }
}
