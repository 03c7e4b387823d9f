/* t = sat16(requant(c . x1), requant(e . x2));
 * y[r] = clamp(zero + add[r] + requant(bias[r] + b[r] t[0] + d[r] t[1])).
 * numpy: hmdc/kernels/rank1.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define x_t int8_t
#define y_t int8_t
#endif

struct hmdc_rank1 {
    const int8_t *bd;    /* [rows, 2]: b[r], d[r] */
    const int8_t *c;     /* [n1] */
    const int8_t *e;     /* [n2] */
    const int32_t *bias; /* [rows], or null */
    int32_t rows, n1, n2;
    int32_t c_bias, c_mult, c_shift; /* from the sum c . x1 to t[0] */
    int32_t e_bias, e_mult, e_shift; /* from the sum e . x2 to t[1] */
    int32_t mult, shift;
    int32_t zero, lo, hi;
};

/* x: [n1 + n2]; add: [rows], or null; t: [2]. */
static void hmdc_rank1(const struct hmdc_rank1 *k, const x_t *x, const int32_t *add, int16_t *t, y_t *y)
{
    const int32_t rows = k->rows, n1 = k->n1, n2 = k->n2, both = n1 < n2 ? n1 : n2;
    const int8_t *c = k->c, *e = k->e, *bd = k->bd;
    const x_t *x2 = x + n1;
    int32_t sum1 = k->c_bias, sum2 = k->e_bias;
    for (int32_t i = 0; i < both; i++) {
        sum1 += c[i] * x[i];
        sum2 += e[i] * x2[i];
    }
    for (int32_t i = both; i < n1; i++) {
        sum1 += c[i] * x[i];
    }
    for (int32_t i = both; i < n2; i++) {
        sum2 += e[i] * x2[i];
    }
    const int32_t t1 = hmdc_clamp(hmdc_requant(sum1, k->c_mult, k->c_shift), -32768, 32767);
    const int32_t t2 = hmdc_clamp(hmdc_requant(sum2, k->e_mult, k->e_shift), -32768, 32767);
    t[0] = (int16_t)t1;
    t[1] = (int16_t)t2;
    for (int32_t r = 0; r < rows; r++) {
        const int32_t sum = (k->bias ? k->bias[r] : 0) + bd[2 * r] * t1 + bd[2 * r + 1] * t2;
        const int32_t v = k->zero + hmdc_requant(sum, k->mult, k->shift);
        y[r] = (y_t)hmdc_clamp(add ? add[r] + v : v, k->lo, k->hi);
    }
}
