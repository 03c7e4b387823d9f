/* y[i] = x[i], both strided views of the same shape.  numpy: hmdc/kernels/copy.py
 * One piece of memory is copied by words, which need no alignment here. */
#ifndef HMDC_GENERATED
#include "math.h"
#define y_t int8_t
#endif

struct hmdc_copy {
    int32_t n0, x0, y0; /* size of the outermost loop, steps of x and y in elements */
    int32_t n1, x1, y1;
    int32_t n2, x2, y2;
    int32_t n3, x3, y3;
};

static void hmdc_copy(const struct hmdc_copy *k, const y_t *x, y_t *y)
{
    const int32_t n = k->n3, dx = k->x3, dy = k->y3;
    for (int32_t i0 = 0; i0 < k->n0; i0++) {
        for (int32_t i1 = 0; i1 < k->n1; i1++) {
            for (int32_t i2 = 0; i2 < k->n2; i2++) {
                const y_t *from = x + (i0 * k->x0 + i1 * k->x1 + i2 * k->x2);
                y_t *to = y + (i0 * k->y0 + i1 * k->y1 + i2 * k->y2);
                int32_t i = n;
#if HMDC_ASM
                if (dx == 1 && dy == 1) {
                    const int32_t done = n & -(4 / (int32_t)sizeof(y_t));
                    hmdc_copy_words(from, to, done * (int32_t)sizeof(y_t));
                    i -= done;
                    from += done;
                    to += done;
                }
#endif
                for (; i > 0; i--, from += dx, to += dy) {
                    *to = *from;
                }
            }
        }
    }
}
