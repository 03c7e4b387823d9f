/* y[i] = table[x[i] + 128]: any scalar function of a byte.  numpy: hmdc/kernels/table.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define x_t int8_t
#define y_t int8_t
#endif

struct hmdc_table8 {
    const y_t *table; /* 256 values */
    int32_t n;
};

static void hmdc_table8(const struct hmdc_table8 *k, const x_t *x, y_t *y)
{
    const y_t *table = k->table + 128;
    const int32_t n = k->n;
    for (int32_t i = 0; i < n; i++) {
        y[i] = table[x[i]];
    }
}
