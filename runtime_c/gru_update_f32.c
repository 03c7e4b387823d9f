/* h = gate(z) h + (1 - gate(z)) candidate(n).  numpy: hmdc/kernels/gru_update.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_gru_update_f32 {
    float (*gate)(float);
    float (*candidate)(float);
    int32_t n;
};

static void hmdc_gru_update_f32(const struct hmdc_gru_update_f32 *k, const float *z, const float *n, float *h)
{
    for (int32_t i = 0; i < k->n; i++) {
        const float keep = k->gate(z[i]);
        h[i] = keep * h[i] + (1.0f - keep) * k->candidate(n[i]);
    }
}
