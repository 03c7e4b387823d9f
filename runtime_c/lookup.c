/* y[p,:] = table[x[p],:], x counted from the end where negative, and never outside.  numpy: hmdc/kernels/lookup.py */
#ifndef HMDC_GENERATED
#include "hmdc_math.h"
#define y_t int8_t
#endif

struct hmdc_lookup {
    const y_t *table; /* [n, columns] */
    int32_t n, columns, p;
};

static void hmdc_lookup(const struct hmdc_lookup *k, const int32_t *x, y_t *y)
{
    const int32_t n = k->n, columns = k->columns, p = k->p;
    for (int32_t i = 0; i < p; i++) {
        const int32_t token = x[i] < 0 ? x[i] + n : x[i];
        const y_t *row = k->table + columns * (token < 0 ? 0 : token < n ? token : n - 1);
        for (int32_t j = 0; j < columns; j++) {
            *y++ = row[j];
        }
    }
}
