/* y[i] = clamp(zero + requant(x[i] - x_zero)), strided views of the same shape.
 * numpy: hmdc/kernels/rescale.py */
#ifndef HMDC_GENERATED
#include "math.h"
#define x_t int8_t
#define y_t int8_t
#endif

struct hmdc_rescale {
    int32_t mult, shift, x_zero;
    int32_t zero, lo, hi;
    int32_t n0, x0, y0; /* size of the outermost loop, steps of x and y in elements */
    int32_t n1, x1, y1;
    int32_t n2, x2, y2;
    int32_t n3, x3, y3;
};

static void hmdc_rescale(const struct hmdc_rescale *k, const x_t *x, y_t *y)
{
#if HMDC_ASM
    const int32x4_t mult = vdupq_n_s32(k->mult);
#endif
    for (int32_t i0 = 0; i0 < k->n0; i0++) {
        for (int32_t i1 = 0; i1 < k->n1; i1++) {
            for (int32_t i2 = 0; i2 < k->n2; i2++) {
                const x_t *from = x + (i0 * k->x0 + i1 * k->x1 + i2 * k->x2);
                y_t *to = y + (i0 * k->y0 + i1 * k->y1 + i2 * k->y2);
#if HMDC_ASM
                if (k->x3 == 1 && k->y3 == 1) {
                    for (int32_t left = k->n3; left > 0; left -= 4, from += 4, to += 4) {
                        const mve_pred16_t p = vctp32q((uint32_t)left);
                        const int32x4_t v = vaddq_n_s32(hmdc_load4(from, p, sizeof(x_t)), -k->x_zero);
                        const int32x4_t value = vaddq_n_s32(hmdc_requant4(v, mult, k->shift), k->zero);
                        hmdc_store4(to, value, k->lo, k->hi, p, sizeof(y_t));
                    }
                    continue;
                }
#endif
                for (int32_t i3 = 0; i3 < k->n3; i3++) {
                    const int32_t v = hmdc_requant(from[i3 * k->x3] - k->x_zero, k->mult, k->shift);
                    to[i3 * k->y3] = (y_t)hmdc_clamp(k->zero + v, k->lo, k->hi);
                }
            }
        }
    }
}
