/* y[p,c,q] = clamp(bias[c] + w[c] x[p,c,q]): a factor per channel.  numpy: hmdc/kernels/scale.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_scale_f32 {
    const float *weights; /* [channels] */
    const float *bias;    /* [channels] */
    int32_t p, channels, q;
    float lo, hi;
};

static void hmdc_scale_f32(const struct hmdc_scale_f32 *k, const float *x, float *y)
{
    for (int32_t p = 0; p < k->p; p++) {
        for (int32_t c = 0; c < k->channels; c++) {
            const float w = k->weights[c], bias = k->bias[c];
            for (int32_t j = 0; j < k->q; j++) {
                *y++ = hmdc_clampf(bias + w * *x++, k->lo, k->hi);
            }
        }
    }
}
