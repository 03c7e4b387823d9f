/* t = (c . x1, e . x2); y[r] = clamp(add[r] + bias[r] + b[r] t[0] + d[r] t[1]).  numpy: hmdc/kernels/rank1.py */
#ifndef HMDC_GENERATED
#include "float_math.h"
#endif

struct hmdc_rank1_f32 {
    const float *bd;   /* [rows, 2]: b[r], d[r] */
    const float *c;    /* [n1] */
    const float *e;    /* [n2] */
    const float *bias; /* [rows], or null */
    int32_t rows, n1, n2;
    float lo, hi;
};

/* x: [n1 + n2]; add: [rows], or null; t: [2]. */
static void hmdc_rank1_f32(const struct hmdc_rank1_f32 *k, const float *x, const float *add, float *t, float *y)
{
    const int32_t rows = k->rows, n1 = k->n1, n2 = k->n2, both = n1 < n2 ? n1 : n2;
    const float *c = k->c, *e = k->e, *bd = k->bd, *x2 = x + n1;
    float t1 = 0.0f, t2 = 0.0f;
    for (int32_t i = 0; i < both; i++) {
        t1 += c[i] * x[i];
        t2 += e[i] * x2[i];
    }
    for (int32_t i = both; i < n1; i++) {
        t1 += c[i] * x[i];
    }
    for (int32_t i = both; i < n2; i++) {
        t2 += e[i] * x2[i];
    }
    t[0] = t1;
    t[1] = t2;
    for (int32_t r = 0; r < rows; r++) {
        const float v = (k->bias ? k->bias[r] : 0.0f) + bd[2 * r] * t1 + bd[2 * r + 1] * t2;
        y[r] = hmdc_clampf(add ? add[r] + v : v, k->lo, k->hi);
    }
}
