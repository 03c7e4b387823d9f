/* y[p, q] = x[p, :, q] for cross multiplication, see hmdc_products.  numpy: hmdc/isa/v7m.py */
#ifndef HMDC_GENERATED
#include "math.h"
#endif

struct hmdc_cross {
    int32_t p, columns, q;
};

static void hmdc_cross(const struct hmdc_cross *k, const int8_t *x, int32_t *y)
{
    const int32_t columns = k->columns, q = k->q;
    for (int32_t p = 0; p < k->p; p++, x += columns * q) {
        for (int32_t j = 0; j < q; j++) {
            const int8_t *from = x + j;
            for (int32_t left = columns; left > 0; left -= 2, from += 2 * q, y += 2) {
                const int32_t x0 = from[0], x1 = left > 1 ? from[q] : 0;
                y[0] = (int32_t)((uint32_t)x1 + ((uint32_t)x0 << 16));
                y[1] = (int32_t)((uint32_t)(0x8000 - 128 * x1) - ((uint32_t)(x0 + x1) << 23));
            }
            if (((columns + 1) & 2) != 0) { /* half of the last 4 columns */
                *y++ = 0;
                *y++ = 0x8000;
            }
        }
    }
}
