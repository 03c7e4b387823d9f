/* y[p, q] = x[p, :, q] for cross multiplication, see hmdc_products.  numpy: hmdc/isa/v7m.py */
#ifndef HMDC_GENERATED
#include "math.h"
#endif

struct hmdc_cross {
    int32_t p, columns, q;
};

static void hmdc_cross(const struct hmdc_cross *k, const int8_t *x, int32_t *y)
{
    const int32_t columns = k->columns, q = k->q, words = 1 + ((columns + 3) & ~3);
    for (int32_t p = 0; p < k->p; p++) {
        for (int32_t j = 0; j < q; j++) {
            hmdc_operand(x + j, columns, q, y);
            y += words;
        }
        x += columns * q;
    }
}
