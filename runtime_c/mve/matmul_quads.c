/* y[p,r,q] = clamp(zero + add[p,r,q] + requant_r(start[r] + sum_k w[r,k] x[p,q,k])).  numpy: hmdc/isa/mve.py */
#ifndef HMDC_GENERATED
#include "math.h"
#define x_t int8_t
#define y_t int8_t
#endif

struct hmdc_matmul_quads {
    const int8_t *weights; /* quads, see hmdc_quads; then the remaining rows */
    const int32_t *bias;   /* [rows], or with bias_each [p, q, rows], or null */
    const int32_t *mult;   /* [rows] with mult_step 1, [1] with mult_step 0 */
    int32_t mult_step, shift;
    int32_t bias_each;
    int32_t p, q, rows, columns;
    int32_t zero, lo, hi;
};

/* x: [p, q, columns]; y: [p, rows, q]; start: [rows], or null, in place of the bias; add: as y, or null. */
static void hmdc_matmul_quads(const struct hmdc_matmul_quads *k, const x_t *x, const int32_t *start,
                              const int32_t *add, y_t *y)
{
    const int32_t rows = k->rows, step = k->q;
    const int32_t *from = start ? start : k->bias;
    int32_t sum[32];
    for (int32_t i = 0; i < k->p * step; i++, x += k->columns) {
        struct hmdc_quads q = hmdc_quads_of(k->weights, x, k->columns, sizeof(x_t) == 1 ? 16 : 8);
        int32_t at = i / step * rows * step + i % step;
        const int32_t *mult = k->mult;
        for (int32_t r = 0; r < rows; r += 32) {
            const int32_t n = rows - r < 32 ? rows - r : 32;
            q.weights = k->weights + r * k->columns;
            q.start = from + r;
            hmdc_quads_any(&q, k->columns, n, sum, sizeof(x_t) == 2);
#if HMDC_ASM
            const uint32x4_t offset = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)step);
            int32x4_t m = vdupq_n_s32(*mult);
            for (int32_t t = 0; t < n; t += 4) {
                const mve_pred16_t p = vctp32q((uint32_t)(n - t));
                if (k->mult_step) {
                    m = vldrwq_z_s32(mult, p);
                    mult += 4;
                }
                int32x4_t v = vaddq_n_s32(hmdc_requant4(vldrwq_s32(sum + t), m, k->shift), k->zero);
                if (add)
                    v = vaddq_s32(v, vldrwq_gather_shifted_offset_z_s32(add + at, offset, p));
                hmdc_scatter4(y + at, offset, v, k->lo, k->hi, p, sizeof(y_t));
                at += 4 * step;
            }
#else
            for (int32_t t = 0; t < n; t++) {
                const int32_t v = k->zero + hmdc_requant(sum[t], *mult, k->shift);
                y[at] = (y_t)hmdc_clamp(add ? add[at] + v : v, k->lo, k->hi);
                mult += k->mult_step;
                at += step;
            }
#endif
        }
        from += k->bias_each ? rows : 0;
    }
}
