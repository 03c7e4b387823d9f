/* y[p,c,q] = clamp(zero + requant_c(bias[c] + w[c] x[p,c,q])): a factor per channel.
 * numpy: hmdc/kernels/scale.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define x_t int8_t
#define y_t int8_t
#endif

struct hmdc_scale {
    const int8_t *weights; /* [channels] */
    const int32_t *bias;   /* [channels] */
    const int32_t *mult;   /* [channels] with mult_step 1, [1] with mult_step 0 */
    int32_t mult_step, shift;
    int32_t p, channels, q;
    int32_t zero, lo, hi;
};

static void hmdc_scale(const struct hmdc_scale *k, const x_t *x, y_t *y)
{
    for (int32_t p = 0; p < k->p; p++) {
        for (int32_t c = 0; c < k->channels; c++) {
            const int32_t w = k->weights[c], bias = k->bias[c], mult = k->mult[c * k->mult_step];
            for (int32_t j = 0; j < k->q; j++) {
                const int32_t v = k->zero + hmdc_requant(bias + w * *x++, mult, k->shift);
                *y++ = (y_t)hmdc_clamp(v, k->lo, k->hi);
            }
        }
    }
}
