/* h = gate(z) h + (zeta (1 - gate(z)) + nu) candidate(z + shift).  numpy: hmdc/kernels/fastgrnn_update.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_fastgrnn_update_f32 {
    float (*gate)(float);
    float (*candidate)(float);
    const float *shift;
    float zeta, nu;
    int32_t n;
};

static void hmdc_fastgrnn_update_f32(const struct hmdc_fastgrnn_update_f32 *k, const float *z, float *h)
{
    for (int32_t i = 0; i < k->n; i++) {
        const float keep = k->gate(z[i]);
        h[i] = keep * h[i] + (k->zeta * (1.0f - keep) + k->nu) * k->candidate(z[i] + k->shift[i]);
    }
}
