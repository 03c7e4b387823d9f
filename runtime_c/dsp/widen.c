/* y[p, q, k] = x[p, k, q] in 16 bits, every k padded with zeros to a multiple of 4.  numpy: hmdc/isa/dsp/operands.py */
#ifndef HMDC_GENERATED
#include "math.h"
#define x_t int8_t
#endif

struct hmdc_widen {
    int32_t p, k, q;
    int32_t gained, gain; /* the first of k count 2^gain times; then p = q = 1 */
};

static void hmdc_widen(const struct hmdc_widen *c, const x_t *x, int16_t *y)
{
    const int32_t n = c->k, q = c->q;
    int16_t *const first = y;
    for (int32_t p = 0; p < c->p; p++, x += n * q) {
        for (int32_t j = 0; j < q; j++) {
            const x_t *from = x + j;
            int32_t k = n;
#if HMDC_ASM
            for (; sizeof(x_t) == 1 && q == 1 && k >= 4; k -= 4, from += 4, y += 4)
                hmdc_widen4(from, y);
#endif
            for (; k >= 4; k -= 4) {
                const int32_t a = from[0], b = from[q], d = from[2 * q], e = from[3 * q];
                y[0] = (int16_t)a;
                y[1] = (int16_t)b;
                y[2] = (int16_t)d;
                y[3] = (int16_t)e;
                from += 4 * q;
                y += 4;
            }
            if (k > 0) {
                y[3] = 0;
                y[2] = k > 2 ? from[2 * q] : 0;
                y[1] = k > 1 ? from[q] : 0;
                y[0] = from[0];
                y += 4;
            }
        }
    }
    for (int32_t i = 0; i < c->gained; i++)
        first[i] = (int16_t)(first[i] * (1 << c->gain));
}
