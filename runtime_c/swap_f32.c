/* y[p,b,a,q] = x[p,a,b,q].  numpy: hmdc/kernels/swap.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_swap_f32 {
    int32_t p, a, b, q;
};

static void hmdc_swap_f32(const struct hmdc_swap_f32 *k, const float *x, float *y)
{
    const int32_t a = k->a, b = k->b, q = k->q;
    for (int32_t i = 0; i < k->p; i++) {
        for (int32_t j = 0; j < b; j++) {
            const float *from = x + j * q;
            for (int32_t m = 0; m < a; m++) {
                for (int32_t n = 0; n < q; n++) {
                    *y++ = from[m * b * q + n];
                }
            }
        }
        x += a * b * q;
    }
}
