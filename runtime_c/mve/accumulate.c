/* y[i] += x[i] - x_zero: int32 sums over time.  numpy: hmdc/kernels/accumulate.py */
#ifndef HMDC_GENERATED
#include "math.h"
#define x_t int8_t
#endif

struct hmdc_accumulate {
    int32_t x_zero;
    int32_t n;
};

static void hmdc_accumulate(const struct hmdc_accumulate *k, const x_t *x, int32_t *y)
{
    const int32_t n = k->n, x_zero = k->x_zero;
#if HMDC_ASM
    for (int32_t i = 0; i < n; i += 4) {
        const mve_pred16_t p = vctp32q((uint32_t)(n - i));
        const int32x4_t v = vaddq_n_s32(hmdc_load4(x + i, p, sizeof(x_t)), -x_zero);
        vstrwq_p_s32(y + i, vaddq_s32(vldrwq_z_s32(y + i, p), v), p);
    }
#else
    for (int32_t i = 0; i < n; i++) {
        y[i] += x[i] - x_zero;
    }
#endif
}
