/* y[i] = table[x[i] + 128]: any scalar function of a byte.  numpy: hmdc/kernels/table.py */
#ifndef HMDC_GENERATED
#include "math.h"
#define x_t int8_t
#define y_t int8_t
#endif

struct hmdc_table8 {
    const y_t *table; /* 256 values */
    int32_t n;
};

static void hmdc_table8(const struct hmdc_table8 *k, const x_t *x, y_t *y)
{
    const y_t *table = k->table + 128;
    const int32_t n = k->n;
#if HMDC_ASM
    for (int32_t i = 0; i < n; i += 8) {
        const mve_pred16_t p = vctp16q((uint32_t)(n - i));
        const uint16x8_t j = vreinterpretq_u16_s16(vaddq_n_s16(vldrbq_z_s16((const void *)(x + i), p), 128));
        const void *values = table - 128;
        if (sizeof(y_t) == 1)
            vstrbq_p_s16((void *)(y + i), vldrbq_gather_offset_s16(values, j), p);
        else
            vstrhq_p_s16((void *)(y + i), vldrhq_gather_shifted_offset_s16(values, j), p);
    }
#else
    for (int32_t i = 0; i < n; i++) {
        y[i] = table[x[i]];
    }
#endif
}
