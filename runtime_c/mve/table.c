/* y[i] = clamp(zero + requant(table(x[i]))): any scalar function.  numpy: hmdc/kernels/table.py */
#ifndef HMDC_GENERATED
#include "math.h"
#define x_t int16_t
#define y_t int8_t
#endif

struct hmdc_table {
    const int16_t *table; /* 257 knots */
    int32_t mult, shift;
    int32_t zero, lo, hi;
    int32_t n;
};

static void hmdc_table(const struct hmdc_table *k, const x_t *x, y_t *y)
{
    const int16_t *table = k->table + 128;
    const int32_t n = k->n;
#if HMDC_ASM
    const int32x4_t mult = vdupq_n_s32(k->mult);
    for (int32_t i = 0; i < n; i += 4) {
        const mve_pred16_t p = vctp32q((uint32_t)(n - i));
        const int32x4_t v = hmdc_requant4(hmdc_interpolate4(table, hmdc_load4(x + i, p, sizeof(x_t))), mult, k->shift);
        hmdc_store4(y + i, vaddq_n_s32(v, k->zero), k->lo, k->hi, p, sizeof(y_t));
    }
#else
    for (int32_t i = 0; i < n; i++) {
        const int32_t v = hmdc_requant(hmdc_interpolate(table, x[i]), k->mult, k->shift);
        y[i] = (y_t)hmdc_clamp(k->zero + v, k->lo, k->hi);
    }
#endif
}
