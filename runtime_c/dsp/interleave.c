/* Vectors in 16 bits, three side by side: y[p / 3, k / 2, p % 3, k % 2] = x[p, k], with zeros after the last vector and
 * up to a multiple of 4 columns.  numpy: hmdc/isa/dsp/operands.py */
#ifndef HMDC_GENERATED
#include "math.h"
#endif

struct hmdc_interleave {
    int32_t p, k;
};

static void hmdc_interleave(const struct hmdc_interleave *c, const int8_t *x, int16_t *y)
{
    const int32_t n = c->k, filled = (n + 3) & ~3;
    for (int32_t p = 0; p < c->p; p += 3, y += 3 * filled) {
        for (int32_t j = 0; j < 3; j++) {
            int16_t *to = y + 2 * j;
            int32_t k = 0;
            for (; p + j < c->p && k + 2 <= n; k += 2, x += 2, to += 6) {
                const int32_t a = x[0], b = x[1];
                to[0] = (int16_t)a;
                to[1] = (int16_t)b;
            }
            for (; k < filled; k += 2, to += 6) {
                to[0] = 0;
                to[1] = 0;
                if (p + j < c->p && k < n)
                    to[0] = *x++;
            }
        }
    }
}
