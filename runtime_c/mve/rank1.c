/* t = sat16(requant(c . x1), requant(e . x2));
 * y[r] = clamp(zero + add[r] + requant(bias[r] + b[r] t[0] + d[r] t[1])).
 * numpy: hmdc/kernels/rank1.py */
#ifndef HMDC_GENERATED
#include "math.h"
#define x_t int8_t
#define y_t int8_t
#endif

struct hmdc_rank1 {
    const int8_t *bd;    /* [rows, 2]: b[r], d[r] */
    const int8_t *c;     /* [n1] */
    const int8_t *e;     /* [n2] */
    const int32_t *bias; /* [rows], or null */
    int32_t rows, n1, n2;
    int32_t c_bias, c_mult, c_shift; /* from the sum c . x1 to t[0] */
    int32_t e_bias, e_mult, e_shift; /* from the sum e . x2 to t[1] */
    int32_t mult, shift;
    int32_t zero, lo, hi;
};

/* x: [n1 + n2]; add: [rows], or null; t: [2]. */
static void hmdc_rank1(const struct hmdc_rank1 *k, const x_t *x, const int32_t *add, int16_t *t, y_t *y)
{
    const int32_t rows = k->rows;
    const int8_t *bd = k->bd;
    const void *x1 = x, *x2 = x + k->n1;
    const int32_t sum1 = sizeof(x_t) == 1 ? hmdc_dot8(k->c, x1, k->n1, k->c_bias) : hmdc_dot16(k->c, x1, k->n1, k->c_bias);
    const int32_t sum2 = sizeof(x_t) == 1 ? hmdc_dot8(k->e, x2, k->n2, k->e_bias) : hmdc_dot16(k->e, x2, k->n2, k->e_bias);
    const int32_t t1 = hmdc_clamp(hmdc_requant(sum1, k->c_mult, k->c_shift), -32768, 32767);
    const int32_t t2 = hmdc_clamp(hmdc_requant(sum2, k->e_mult, k->e_shift), -32768, 32767);
    t[0] = (int16_t)t1;
    t[1] = (int16_t)t2;
#if HMDC_ASM
    const uint32x4_t even = vidupq_n_u32(0, 2);
    const int32x4_t mult = vdupq_n_s32(k->mult);
    for (int32_t r = 0; r < rows; r += 4) {
        const mve_pred16_t p = vctp32q((uint32_t)(rows - r));
        int32x4_t v = vmulq_n_s32(vldrbq_gather_offset_z_s32(bd + 2 * r, even, p), t1);
        v = vmlaq_n_s32(v, vldrbq_gather_offset_z_s32(bd + 2 * r + 1, even, p), t2);
        if (k->bias)
            v = vaddq_s32(v, vldrwq_z_s32(k->bias + r, p));
        v = vaddq_n_s32(hmdc_requant4(v, mult, k->shift), k->zero);
        if (add)
            v = vaddq_s32(v, vldrwq_z_s32(add + r, p));
        hmdc_store4(y + r, v, k->lo, k->hi, p, sizeof(y_t));
    }
#else
    for (int32_t r = 0; r < rows; r++) {
        const int32_t sum = (k->bias ? k->bias[r] : 0) + bd[2 * r] * t1 + bd[2 * r + 1] * t2;
        const int32_t v = k->zero + hmdc_requant(sum, k->mult, k->shift);
        y[r] = (y_t)hmdc_clamp(add ? add[r] + v : v, k->lo, k->hi);
    }
#endif
}
