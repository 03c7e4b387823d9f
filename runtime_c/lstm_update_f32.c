/* c = gate(f) c + gate(i) candidate(g); h = gate(o) output(c).  numpy: hmdc/kernels/lstm_update.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_lstm_update_f32 {
    float (*gate)(float);
    float (*candidate)(float);
    float (*output)(float);
    int32_t n;
};

/* z: i[n], f[n], g[n], o[n]. */
static void hmdc_lstm_update_f32(const struct hmdc_lstm_update_f32 *k, const float *z, float *c, float *h)
{
    const int32_t n = k->n;
    for (int32_t j = 0; j < n; j++) {
        const float i = k->gate(z[j]), f = k->gate(z[n + j]), o = k->gate(z[3 * n + j]);
        c[j] = f * c[j] + i * k->candidate(z[2 * n + j]);
        h[j] = o * k->output(c[j]);
    }
}
