/* y[i] = clamp(zero + requant(a[i] - a_zero) + sign requant(b[i] - b_zero)).  numpy: hmdc/kernels/add.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define a_t int8_t
#define b_t int8_t
#define y_t int8_t
#endif

struct hmdc_add {
    int32_t a_mult, a_shift, a_zero;
    int32_t b_mult, b_shift, b_zero;
    int32_t sign; /* 1 or -1 */
    int32_t zero, lo, hi;
    int32_t n;
};

static void hmdc_add(const struct hmdc_add *k, const a_t *a, const b_t *b, y_t *y)
{
    const int32_t n = k->n;
    for (int32_t i = 0; i < n; i++) {
        const int32_t a_part = hmdc_requant(a[i] - k->a_zero, k->a_mult, k->a_shift);
        const int32_t b_part = hmdc_requant(b[i] - k->b_zero, k->b_mult, k->b_shift);
        y[i] = (y_t)hmdc_clamp(k->zero + a_part + k->sign * b_part, k->lo, k->hi);
    }
}
