/* y[r,j] = sat16(requant(bias[r,j] + sum_k w[r,k] x[j,k])) for k < 8, j < 2.  numpy: hmdc/isa/dsp/products.py */
#ifndef HMDC_GENERATED
#include "halves.h"
#endif

struct hmdc_matmul_columns {
    const uint32_t *rows; /* weights and biases, see hmdc_columns */
    int32_t words;        /* of `rows` */
    int32_t mult;
};

/* x: [2, 8], widened; y: [rows, 2]. */
static void hmdc_matmul_columns(const struct hmdc_matmul_columns *k, const int16_t *x, int16_t *y)
{
    struct hmdc_columns p = {k->rows, k->rows + k->words, k->mult, y};
    hmdc_columns_rows(&p, x);
}
