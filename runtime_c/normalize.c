/* y[p,i,q] = gain c_i / sqrt(max(mean_j c_j^2 + epsilon, floor)), c_i = x_i, less the mean of all x_j if centered.
 * numpy: hmdc/kernels/normalize.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define x_t int8_t
#define y_t int8_t
#endif

struct hmdc_normalize {
    uint64_t epsilon, floor; /* of n^2 mean c^2 in the grid of x, with bits of fraction */
    int32_t fraction;
    uint32_t mult; /* of the gain and the grid of y; 2^30 and more, below 2^31 */
    int32_t exponent;
    int32_t x_zero, zero, lo, hi;
    int32_t p, n, q; /* along n, at most 4096 */
    int32_t centered;
};

static void hmdc_normalize(const struct hmdc_normalize *k, const x_t *x, y_t *y)
{
    const int32_t q = k->q, size = k->n * q;
    for (int32_t p = 0; p < k->p; p++, x += size, y += size) {
        for (int32_t j = 0; j < q; j++) {
            int32_t total = 0;
            uint64_t squares = 0;
            for (int32_t i = j; i < size; i += q) {
                const int32_t v = x[i] - k->x_zero;
                total += v;
                squares += (uint32_t)(v * v);
            }
            total *= k->centered;
            squares = (uint32_t)k->n * squares - (uint64_t)((int64_t)total * total);
            squares = (squares << k->fraction) + k->epsilon;
            squares = squares > k->floor ? squares : k->floor;
            int32_t shift = k->exponent;
            uint32_t mult = hmdc_mulhi(hmdc_rsqrt(squares, &shift), k->mult);
            if (shift < 0) {
                const int32_t right = shift < -31 ? 31 : -shift;
                mult = (mult + (1u << right >> 1)) >> right;
                shift = 0;
            }
            total += k->n * k->x_zero;
            for (int32_t i = j; i < size; i += q) {
                const int32_t v = hmdc_requant(k->n * x[i] - total, (int32_t)mult, shift);
                y[i] = (y_t)hmdc_clamp(k->zero + v, k->lo, k->hi);
            }
        }
    }
}
