/* y[i] = clamp(zero + requant(x[i] - x_zero)), strided views of the same shape.
 * numpy: hmdc/kernels/rescale.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
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
    const int32_t n = k->n3, dx = k->x3, dy = k->y3, mult = k->mult, zero = k->zero, lo = k->lo, hi = k->hi;
    const int32_t unit = 1 << k->shift, offset = -k->x_zero * unit;
    const int32_t flat = dx == 1 && dy == 1;
    for (int32_t i0 = 0; i0 < k->n0; i0++) {
        for (int32_t i1 = 0; i1 < k->n1; i1++) {
            for (int32_t i2 = 0; i2 < k->n2; i2++) {
                const x_t *from = x + (i0 * k->x0 + i1 * k->x1 + i2 * k->x2);
                y_t *to = y + (i0 * k->y0 + i1 * k->y1 + i2 * k->y2);
                for (int32_t i = flat ? n : 0; i > 0; i--) {
                    const int32_t v = hmdc_add_mulr(zero, *from++ * unit + offset, mult);
                    *to++ = (y_t)hmdc_bound(v, lo, hi, sizeof(y_t));
                }
                for (int32_t i = flat ? 0 : n; i > 0; i--, from += dx, to += dy) {
                    const int32_t v = hmdc_add_mulr(zero, *from * unit + offset, mult);
                    *to = (y_t)hmdc_clamp(v, lo, hi);
                }
            }
        }
    }
}
