/* y[p,i,q] = x_i - max_j x_j - log(sum_j exp(x_j - max x)), by powers of 2.  numpy: hmdc/kernels/log_softmax.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define y_t int8_t
#endif

struct hmdc_log_softmax {
    const int16_t *power, *logarithm; /* 129 knots of 2^-u - 1/2 and of log2(1 + u) for u in [0, 1), in Q0.15 */
    int32_t down_mult, down_shift;    /* from the grid of x to octaves, 15 bits of fraction */
    int32_t mult, shift;              /* from octaves to the grid of y */
    int32_t zero, lo, hi;
    int32_t p, n, q; /* along n, at most 2048 */
};

static void hmdc_log_softmax(const struct hmdc_log_softmax *k, const int16_t *x, y_t *y)
{
    const int32_t q = k->q, size = k->n * q;
    for (int32_t p = 0; p < k->p; p++, x += size, y += size) {
        for (int32_t j = 0; j < q; j++) {
            int32_t top = x[j], total = 0, octaves = 0;
            for (int32_t i = j; i < size; i += q) {
                top = x[i] > top ? x[i] : top;
            }
            for (int32_t i = j; i < size; i += q) {
                const int32_t down = hmdc_requant(top - x[i], k->down_mult, k->down_shift);
                const int32_t right = down >> 15;
                total += ((hmdc_interpolate(k->power, down & 32767) + 16384) * 32) >> (right < 31 ? right : 31);
            }
            while (total >> octaves >= 1 << 21) {
                octaves++;
            }
            octaves = octaves * 32768 + hmdc_interpolate(k->logarithm, (total >> (octaves + 5)) - 32768);
            for (int32_t i = j; i < size; i += q) {
                const int32_t down = hmdc_requant(top - x[i], k->down_mult, k->down_shift);
                const int32_t v = k->zero + hmdc_requant(-(down + octaves), k->mult, k->shift);
                y[i] = (y_t)hmdc_clamp(v, k->lo, k->hi);
            }
        }
    }
}
