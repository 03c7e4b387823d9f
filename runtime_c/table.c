/* y[i] = clamp(zero + requant(table(x[i]))): any scalar function.  numpy: hmdc/kernels/table.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define x_t int16_t
#define y_t int8_t
#endif

struct hmdc_table {
    const int16_t *table; /* 257 knots */
    int32_t mult, shift;
    int32_t zero, lo, hi;
    int32_t n;
};

static void hmdc_table(const struct hmdc_table *k, const x_t *x, y_t *y)
{
    const int16_t *table = k->table + 128;
    const int32_t n = k->n, lo = k->lo, hi = k->hi;
    for (int32_t i = 0; i < n; i++) {
        const int32_t v = hmdc_requant(hmdc_interpolate(table, x[i]), k->mult, k->shift);
        y[i] = (y_t)hmdc_bound(k->zero + v, lo, hi, sizeof(y_t));
    }
}
