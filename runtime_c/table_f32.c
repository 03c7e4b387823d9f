/* y[i] = f(x[i]): any scalar function.  numpy: hmdc/kernels/table.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_table_f32 {
    float (*f)(float);
    int32_t n;
};

static void hmdc_table_f32(const struct hmdc_table_f32 *k, const float *x, float *y)
{
    const int32_t n = k->n;
    for (int32_t i = 0; i < n; i++) {
        y[i] = k->f(x[i]);
    }
}
