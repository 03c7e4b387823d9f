/* y[p, q] = -128 sum_k x[p, k, q] modulo 2^32, then x[p, :, q], of which the first `gained` count 2^gain times.
 * numpy: hmdc/isa/v6m.py */
#ifndef HMDC_GENERATED
#include "math.h"
#endif

struct hmdc_words {
    int32_t p, columns, q;
    int32_t gained, gain;
};

static void hmdc_words(const struct hmdc_words *k, const int8_t *x, int32_t *y)
{
    const int32_t columns = k->columns, q = k->q;
    for (int32_t p = 0; p < k->p; p++, x += columns * q) {
        for (int32_t j = 0; j < q; j++) {
            const int8_t *from = x + j;
            int32_t *const head = y++, *const gained = y + k->gained, *const end = y + columns;
            uint32_t sum = 0;
            for (; y != gained; from += q)
                sum += (uint32_t)(*y++ = *from * (1 << k->gain));
            for (; y != end; from += q)
                sum += (uint32_t)(*y++ = *from);
            *head = (int32_t)(0 - 128 * sum);
        }
    }
}
