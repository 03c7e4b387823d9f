/* y[p,b,a,q] = x[p,a,b,q].  numpy: hmdc/kernels/swap.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define y_t int8_t
#endif

struct hmdc_swap {
    int32_t p, a, b, q;
};

static void hmdc_swap(const struct hmdc_swap *k, const y_t *x, y_t *y)
{
    const int32_t a = k->a, b = k->b, q = k->q;
    for (int32_t i = 0; i < k->p; i++) {
        for (int32_t j = 0; j < b; j++) {
            const y_t *from = x + j * q;
            for (int32_t m = 0; m < a; m++) {
                for (int32_t n = 0; n < q; n++) {
                    *y++ = from[m * b * q + n];
                }
            }
        }
        x += a * b * q;
    }
}
