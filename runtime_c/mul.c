/* y[i] = clamp(zero + requant((a[i] - a_zero) (b[i] - b_zero))).  numpy: hmdc/kernels/mul.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define a_t int8_t
#define b_t int8_t
#define y_t int8_t
#endif

struct hmdc_mul {
    int32_t mult, shift;
    int32_t a_zero, b_zero;
    int32_t zero, lo, hi;
    int32_t n;
};

static void hmdc_mul(const struct hmdc_mul *k, const a_t *a, const b_t *b, y_t *y)
{
    const int32_t n = k->n;
    for (int32_t i = 0; i < n; i++) {
        const int32_t v = hmdc_requant((a[i] - k->a_zero) * (b[i] - k->b_zero), k->mult, k->shift);
        y[i] = (y_t)hmdc_clamp(k->zero + v, k->lo, k->hi);
    }
}
