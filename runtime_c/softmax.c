/* y[p,i,q] = clamp(zero + e_i one / sum_j e_j), e_i = exp(x_i - max_j x_j).
 * numpy: hmdc/kernels/softmax.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define y_t int8_t
#endif

struct hmdc_softmax {
    const int16_t *table; /* 129 knots of exp(-u), u in Q4.11, values in Q0.15, none negative */
    int32_t mult, shift;  /* from the grid of x to Q4.11 */
    int32_t zero, one;    /* y of 0, and y of 1 less that */
    int32_t lo, hi;
    int32_t p, n, q; /* softmax over n */
};

static void hmdc_softmax(const struct hmdc_softmax *k, const int16_t *x, y_t *y)
{
    const int32_t q = k->q, size = k->n * q;
    for (int32_t p = 0; p < k->p; p++, x += size, y += size) {
        for (int32_t j = 0; j < q; j++) {
            int32_t top = x[j];
            uint32_t total = 0;
            for (int32_t i = j; i < size; i += q) {
                top = x[i] > top ? x[i] : top;
            }
            /* e is looked up twice: there is nowhere to keep it */
            for (int32_t i = j; i < size; i += q) {
                const int32_t down = hmdc_clamp(hmdc_requant(top - x[i], k->mult, k->shift), 0, INT16_MAX);
                total += (uint32_t)hmdc_interpolate(k->table, down);
            }
            for (int32_t i = j; i < size; i += q) {
                const int32_t down = hmdc_clamp(hmdc_requant(top - x[i], k->mult, k->shift), 0, INT16_MAX);
                const uint32_t e = (uint32_t)hmdc_interpolate(k->table, down);
                const uint32_t v = (e * (uint32_t)k->one + total / 2) / total;
                y[i] = (y_t)hmdc_clamp(k->zero + (int32_t)v, k->lo, k->hi);
            }
        }
    }
}
