/* Helpers for cores with Helium (MVE).  HMDC_ASM is 1 where its instructions can be used; the C beside them gives the
 * same bits.
 * GCC before 12.3 takes a predicated store for one of the whole vector: in a function that has one, no other store may
 * write what lies there. */
#ifndef HMDC_MVE_MATH_H
#define HMDC_MVE_MATH_H

#include "../hmdc_math.h"

/* sum + w . x, n >= 0 */
static inline int32_t hmdc_dot8(const int8_t *w, const int8_t *x, int32_t n, int32_t sum)
{
#if HMDC_ASM
    __asm__ volatile(
        "wlstp.8 lr, %[n], 2f\n"
        "1: vldrb.u8 q0, [%[w]], #16\n"
        "vldrb.u8 q1, [%[x]], #16\n"
        "vmladava.s8 %[sum], q0, q1\n"
        "letp lr, 1b\n"
        "2:\n"
        : [sum] "+Te"(sum), [w] "+r"(w), [x] "+r"(x)
        : [n] "r"(n)
        : "lr", "q0", "q1", "memory");
#else
    for (int32_t i = 0; i < n; i++)
        sum += w[i] * x[i];
#endif
    return sum;
}

/* likewise */
static inline int32_t hmdc_dot16(const int8_t *w, const int16_t *x, int32_t n, int32_t sum)
{
#if HMDC_ASM
    __asm__ volatile(
        "wlstp.16 lr, %[n], 2f\n"
        "1: vldrb.s16 q0, [%[w]], #8\n"
        "vldrh.u16 q1, [%[x]], #16\n"
        "vmladava.s16 %[sum], q0, q1\n"
        "letp lr, 1b\n"
        "2:\n"
        : [sum] "+Te"(sum), [w] "+l"(w), [x] "+r"(x)
        : [n] "r"(n)
        : "lr", "q0", "q1", "memory");
#else
    for (int32_t i = 0; i < n; i++)
        sum += w[i] * x[i];
#endif
    return sum;
}

/* hmdc_interpolate for 8 values; neighboring knots differ by 16 bits.  The low byte of x, 128 times as large,
 * makes the rounding of the doubling multiplication that of the scalar formula. */
#if HMDC_ASM
static inline int16x8_t hmdc_interpolate8(const int16_t *middle, int16x8_t x)
{
    const uint16x8_t j = vreinterpretq_u16_s16(vaddq_n_s16(vshrq_n_s16(x, 8), 128));
    const int16x8_t left = vldrhq_gather_shifted_offset_s16(middle - 128, j);
    const int16x8_t right = vldrhq_gather_shifted_offset_s16(middle - 127, j);
    const int16x8_t part = vreinterpretq_s16_u16(vshrq_n_u16(vshlq_n_u16(vreinterpretq_u16_s16(x), 8), 1));
    return vaddq_s16(left, vqrdmulhq_s16(vsubq_s16(right, left), part));
}
#endif

/* sat16(a b mult * 2^-32), halves rounded up, for 8 values */
#if HMDC_ASM
static inline int16x8_t hmdc_product8(int16x8_t a, int16x8_t b, int32_t mult)
{
    const int32x4_t m = vdupq_n_s32(mult);
    const int32x4_t even = vrmulhq_s32(vmullbq_int_s16(a, b), m);
    const int32x4_t odd = vrmulhq_s32(vmulltq_int_s16(a, b), m);
    return vqmovntq_s32(vqmovnbq_s32(a, even), odd);
}
#endif

/* y[0..7] = v, saturated, where p says so; size: of an element of y, 1 or 2 */
#if HMDC_ASM
static inline void hmdc_store8(void *y, int16x8_t v, mve_pred16_t p, uint32_t size)
{
    if (size == 1)
        vstrbq_p_s16(y, vreinterpretq_s16_s8(vqmovnbq_s16(vreinterpretq_s8_s16(v), v)), p);
    else
        vstrhq_p_s16(y, v, p);
}
#endif

/* hmdc_interpolate for 4 values */
#if HMDC_ASM
static inline int32x4_t hmdc_interpolate4(const int16_t *middle, int32x4_t x)
{
    const uint32x4_t j = vreinterpretq_u32_s32(vaddq_n_s32(vshrq_n_s32(x, 8), 128));
    const int32x4_t left = vldrhq_gather_shifted_offset_s32(middle - 128, j);
    const int32x4_t right = vldrhq_gather_shifted_offset_s32(middle - 127, j);
    const int32x4_t part = vandq_s32(x, vdupq_n_s32(255));
    return vaddq_s32(left, vrshrq_n_s32(vmulq_s32(vsubq_s32(right, left), part), 8));
}
#endif

/* hmdc_requant for 4 values */
#if HMDC_ASM
static inline int32x4_t hmdc_requant4(int32x4_t v, int32x4_t mult, int32_t shift)
{
    return vrmulhq_s32(vshlq_r_s32(v, shift), mult);
}
#endif

/* v[0..3], of int8, int16 or int32, where p says so; size: of an element */
#if HMDC_ASM
static inline int32x4_t hmdc_load4(const void *v, mve_pred16_t p, uint32_t size)
{
    return size == 1 ? vldrbq_z_s32(v, p) : size == 2 ? vldrhq_z_s32(v, p) : vldrwq_z_s32(v, p);
}
#endif

/* y[0..3] = v between lo and hi, which fit in y, where p says so; size: of an element of y */
#if HMDC_ASM
static inline void hmdc_store4(void *y, int32x4_t v, int32_t lo, int32_t hi, mve_pred16_t p, uint32_t size)
{
    const int32x4_t inside = vminq_s32(vmaxq_s32(v, vdupq_n_s32(lo)), vdupq_n_s32(hi));
    if (size == 1)
        vstrbq_p_s32(y, inside, p);
    else if (size == 2)
        vstrhq_p_s32(y, inside, p);
    else
        vstrwq_p_s32(y, inside, p);
}
#endif

/* n >= 0 */
#if HMDC_ASM
static inline void hmdc_copy_bytes(void *to, const void *from, int32_t n)
{
    __asm__ volatile(
        "wlstp.8 lr, %[n], 2f\n"
        "1: vldrb.u8 q0, [%[from]], #16\n"
        "vstrb.8 q0, [%[to]], #16\n"
        "letp lr, 1b\n"
        "2:\n"
        : [to] "+r"(to), [from] "+r"(from)
        : [n] "r"(n)
        : "lr", "q0", "memory");
}
#endif

/* sum + w . (x at the columns), n >= 0 entries */
static inline int32_t hmdc_gather_dot8(const int8_t *w, const uint8_t *columns, const int8_t *x, int32_t n, int32_t sum)
{
#if HMDC_ASM
    __asm__ volatile(
        "wlstp.8 lr, %[n], 2f\n"
        "1: vldrb.u8 q0, [%[columns]], #16\n"
        "vldrb.u8 q1, [%[x], q0]\n"
        "vldrb.u8 q0, [%[w]], #16\n"
        "vmladava.s8 %[sum], q0, q1\n"
        "letp lr, 1b\n"
        "2:\n"
        : [sum] "+Te"(sum), [w] "+r"(w), [columns] "+r"(columns)
        : [x] "r"(x), [n] "r"(n)
        : "lr", "q0", "q1", "memory");
#else
    for (int32_t i = 0; i < n; i++)
        sum += w[i] * x[columns[i]];
#endif
    return sum;
}

/* likewise */
static inline int32_t hmdc_gather_dot16(const int8_t *w, const uint8_t *columns, const int16_t *x, int32_t n, int32_t sum)
{
#if HMDC_ASM
    __asm__ volatile(
        "wlstp.16 lr, %[n], 2f\n"
        "1: vldrb.u16 q0, [%[columns]], #8\n"
        "vldrh.u16 q1, [%[x], q0, uxtw #1]\n"
        "vldrb.s16 q0, [%[w]], #8\n"
        "vmladava.s16 %[sum], q0, q1\n"
        "letp lr, 1b\n"
        "2:\n"
        : [sum] "+Te"(sum), [w] "+l"(w), [columns] "+l"(columns)
        : [x] "r"(x), [n] "r"(n)
        : "lr", "q0", "q1", "memory");
#else
    for (int32_t i = 0; i < n; i++)
        sum += w[i] * x[columns[i]];
#endif
    return sum;
}

/* From sums to values of y. */
struct hmdc_finish {
    const int32_t *mult; /* one for each sum with mult_step 1, [1] with mult_step 0 */
    int32_t mult_step, shift;
    int32_t zero, lo, hi;
    int32_t size; /* of an element of y, in bytes */
    int32_t step; /* from one element of y, and of add, to the next */
};

#if HMDC_ASM
/* 4 sums at a time; store: into an element of y; number: a label of its own */
#define HMDC_FINISH(number, store, to) \
    #number "1: vldrw.u32 q0, [r1], #16\n" \
    "vldrw.u32 q1, [r4, q4, uxtw #2]\n" \
    "add r4, r4, r5\n" \
    "vshl.s32 q0, r6\n" \
    "vrmulh.s32 q0, q0, q1\n" \
    "vadd.i32 q0, q0, r7\n" \
    "cbz r3, " #number "2f\n" \
    "vldrw.u32 q1, [r3, q5, uxtw #2]\n" \
    "add r3, r3, r0\n" \
    "vadd.i32 q0, q0, q1\n" \
    #number "2: vmax.s32 q0, q0, q2\n" \
    "vmin.s32 q0, q0, q3\n" \
    store " q0, [r12, " to "]\n" \
    "add r12, r12, r9\n" \
    "letp lr, " #number "1b\n" \
    "vpop {d8-d11}\n" \
    "pop {r4-r9, pc}\n"
#endif

/* y[i step] = clamp(zero + add[i step] + requant(sum[i])) for i < n, n > 0; add: or null */
#if HMDC_ASM
__attribute__((naked, noinline)) static void hmdc_finish_sums(
    __attribute__((unused)) const struct hmdc_finish *f, __attribute__((unused)) const int32_t *sum,
    __attribute__((unused)) int32_t n, __attribute__((unused)) const int32_t *add, __attribute__((unused)) void *y)
{
    __asm__ volatile(
        "push {r4-r9, lr}\n"
        "vpush {d8-d11}\n"
        "ldr r12, [sp, #60]\n"
        "ldm r0, {r4-r9}\n"
        "vdup.32 q2, r8\n"
        "vdup.32 q3, r9\n"
        "mov r8, #0\n"
        "vidup.u32 q5, r8, #1\n"
        "ldrd r8, r9, [r0, #24]\n"
        "vmul.i32 q4, q5, r5\n"
        "vmul.i32 q5, q5, r9\n"
        "lsl r5, r5, #4\n"
        "lsl r0, r9, #4\n"
        "mul r9, r9, r8\n"
        "lsl r9, r9, #2\n"
        "dlstp.32 lr, r2\n"
        "cmp r8, #2\n"
        "beq 21f\n"
        "bhi 31f\n" HMDC_FINISH(1, "vstrb.32", "q5") HMDC_FINISH(2, "vstrh.32", "q5, uxtw #1")
            HMDC_FINISH(3, "vstrw.32", "q5, uxtw #2"));
}
#else
static void hmdc_finish_sums(const struct hmdc_finish *f, const int32_t *sum, int32_t n, const int32_t *add, void *y)
{
    const int32_t *mult = f->mult;
    for (int32_t i = 0; i < n; i++, mult += f->mult_step) {
        const int32_t v = f->zero + hmdc_requant(sum[i], *mult, f->shift), at = i * f->step;
        const int32_t inside = hmdc_clamp(add ? add[at] + v : v, f->lo, f->hi);
        if (f->size == 1)
            ((int8_t *)y)[at] = (int8_t)inside;
        else if (f->size == 2)
            ((int16_t *)y)[at] = (int16_t)inside;
        else
            ((int32_t *)y)[at] = inside;
    }
}
#endif

#endif
