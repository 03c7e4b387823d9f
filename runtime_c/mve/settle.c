/* y[i] = clamp(zero + x[i] + add[i]): int32 partial sums become values.  numpy: hmdc/kernels/settle.py */
#ifndef HMDC_GENERATED
#include "math.h"
#define y_t int8_t
#endif

struct hmdc_settle {
    int32_t n;
    int32_t zero, lo, hi;
};

/* x: on the grid of y; add: as x, or null. */
static void hmdc_settle(const struct hmdc_settle *k, const int32_t *x, const int32_t *add, y_t *y)
{
    const int32_t n = k->n;
#if HMDC_ASM
    for (int32_t i = 0; i < n; i += 4) {
        const mve_pred16_t p = vctp32q((uint32_t)(n - i));
        int32x4_t v = vaddq_n_s32(vldrwq_z_s32(x + i, p), k->zero);
        if (add)
            v = vaddq_s32(v, vldrwq_z_s32(add + i, p));
        hmdc_store4(y + i, v, k->lo, k->hi, p, sizeof(y_t));
    }
#else
    for (int32_t i = 0; i < n; i++) {
        const int32_t v = k->zero + x[i];
        y[i] = (y_t)hmdc_clamp(add ? add[i] + v : v, k->lo, k->hi);
    }
#endif
}
