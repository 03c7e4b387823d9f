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

/* Products of quads, groups of 4 rows.  A block is the columns of one vector of x: 16 of int8, 8 of int16.  The weights
 * of a quad: for every block its columns of row 0, then of row 1, 2 and 3.  The last block may have fewer columns: its
 * vector of x is filled with zeros, so that any bytes may follow its weights; 16 bytes (8 for int16) can be read from
 * where those of its last row start.  That block and up to 4 before it stay in registers for all quads. */
struct hmdc_quads {
    const int8_t *weights; /* r1 */
    int32_t pairs;         /* r3: pairs of blocks that are loaded again for every quad; they come first */
    int32_t ragged;        /* r5: columns of the last block, 0 = whole */
    void *y;               /* r7: 4 results a quad */
    const int32_t *mult;   /* r8: multipliers of the rows, where there is one for each */
    const void *x;         /* r9 */
    int32_t held;          /* r10: blocks between the pairs and the last one, 0..4 */
    void *y_end;           /* r11 */
    const int32_t *start;  /* r12: where the sums of the rows start */
    int32_t last;          /* lr: columns of the last block */
    int32_t shift;         /* of the sums to the left, for hmdc_quads_sums */
};

/* block: columns of a vector of x */
static inline struct hmdc_quads hmdc_quads_of(const int8_t *weights, const void *x, int32_t columns, int32_t block)
{
    const int32_t before = (columns - 1) / block, pairs = before > 4 ? (before - 3) / 2 : 0;
    const int32_t last = columns - before * block;
    const struct hmdc_quads q = {
        weights, pairs, last < block ? last : 0, 0, 0, x, before - 2 * pairs, 0, 0, last, 0,
    };
    return q;
}

#if !HMDC_ASM
/* The sums of one quad.  wide: x is int16 */
static inline void hmdc_quad(struct hmdc_quads *q, int32_t sum[4], int wide)
{
    const int8_t *x8 = q->x;
    const int16_t *x16 = q->x;
    const int32_t block = wide ? 8 : 16, columns = (2 * q->pairs + q->held) * block + q->last;
    for (int32_t i = 0; i < 4; i++)
        sum[i] = *q->start++;
    for (int32_t from = 0; from < columns; from += block) {
        const int32_t to = from + block < columns ? from + block : columns;
        for (int32_t i = 0; i < 4; i++) {
            for (int32_t j = from; j < to; j++)
                sum[i] += *q->weights++ * (wide ? x16[j] : x8[j]);
        }
    }
}
#endif

#if HMDC_ASM
/* A block whose x is in a vector register: r0, r2, r4, r6 += its part of 4 rows. */
#define HMDC_QUADS_BLOCK(load, step, mac, x) \
    load " q0, [r1], " step "\n" \
    load " q1, [r1], " step "\n" \
    mac " r0, " x ", q0\n" \
    load " q0, [r1], " step "\n" \
    mac " r2, " x ", q1\n" \
    load " q1, [r1], " step "\n" \
    mac " r4, " x ", q0\n" \
    mac " r6, " x ", q1\n"
/* The ragged block, x in q3. */
#define HMDC_QUADS_RAGGED(load, mac) \
    load " q0, [r1]\n" \
    "add r1, r1, r5\n" \
    load " q1, [r1]\n" \
    "add r1, r1, r5\n" \
    mac " r0, q3, q0\n" \
    load " q0, [r1]\n" \
    "add r1, r1, r5\n" \
    mac " r2, q3, q1\n" \
    load " q1, [r1]\n" \
    "add r1, r1, r5\n" \
    mac " r4, q3, q0\n" \
    mac " r6, q3, q1\n"
/* struct hmdc_quads in r1-r12, its shift on the stack; the last block of x in q3, held ones in q4, q5, q6 and q7. */
#define HMDC_QUADS_ENTER(vctp) \
    "push {r4-r11, lr}\n" \
    "vpush {d8-d15}\n" \
    "ldm r0, {r1, r3, r5, r7-r12, lr}\n" \
    "ldr r0, [r0, #40]\n" \
    "push {r0}\n" \
    "add r2, r9, r3, lsl #5\n" \
    vctp " lr\n" \
    "tbb [pc, r10]\n" \
    "10: .byte (15f - 10b) / 2, (14f - 10b) / 2, (13f - 10b) / 2, (12f - 10b) / 2, (11f - 10b) / 2, 0\n" \
    "11: vldrb.u8 q7, [r2], #16\n" \
    "12: vldrb.u8 q6, [r2], #16\n" \
    "13: vldrb.u8 q5, [r2], #16\n" \
    "14: vldrb.u8 q4, [r2], #16\n" \
    "15: vpst\n" \
    "vldrbt.u8 q3, [r2]\n"
/* r0, r2, r4, r6 = the sums of the quad at r1 (weights) and r12 (where they start). */
#define HMDC_QUADS_SUMS(load, step, mac) \
    "20: ldm r12!, {r0, r2, r4, r6}\n" \
    "wls lr, r3, 22f\n" \
    "21: vldrb.u8 q2, [r9], #16\n" \
    HMDC_QUADS_BLOCK(load, step, mac, "q2") \
    "vldrb.u8 q2, [r9], #16\n" \
    HMDC_QUADS_BLOCK(load, step, mac, "q2") \
    "le lr, 21b\n" \
    "sub r9, r9, r3, lsl #5\n" \
    "22: tbb [pc, r10]\n" \
    "30: .byte (35f - 30b) / 2, (34f - 30b) / 2, (33f - 30b) / 2, (32f - 30b) / 2, (31f - 30b) / 2, 0\n" \
    "31:\n" HMDC_QUADS_BLOCK(load, step, mac, "q7") \
    "32:\n" HMDC_QUADS_BLOCK(load, step, mac, "q6") \
    "33:\n" HMDC_QUADS_BLOCK(load, step, mac, "q5") \
    "34:\n" HMDC_QUADS_BLOCK(load, step, mac, "q4") \
    "35: cbnz r5, 41f\n" \
    HMDC_QUADS_BLOCK(load, step, mac, "q3") \
    "40:\n"
/* The next quad, until y ends; the ragged block. */
#define HMDC_QUADS_LEAVE(load, mac) \
    "cmp r7, r11\n" \
    "bne 20b\n" \
    "add sp, sp, #4\n" \
    "vpop {d8-d15}\n" \
    "pop {r4-r11, pc}\n" \
    "41:\n" HMDC_QUADS_RAGGED(load, mac) \
    "b 40b\n"
/* q0 = the sums, q1 = their multipliers. */
#define HMDC_QUADS_VECTOR \
    "vmov d0, r0, r2\n" \
    "vmov d1, r4, r6\n" \
    "vldrw.u32 q1, [r8], #16\n"
#endif

/* y[] = sums, int32; x: int8 */
#if HMDC_ASM
__attribute__((naked, noinline)) static void hmdc_quads_raw8(__attribute__((unused)) struct hmdc_quads *q)
{
    __asm__ volatile(
        HMDC_QUADS_ENTER("vctp.8") HMDC_QUADS_SUMS("vldrb.u8", "#16", "vmladava.s8")
        "stm r7!, {r0, r2, r4, r6}\n" HMDC_QUADS_LEAVE("vldrb.u8", "vmladava.s8"));
}
#else
static void hmdc_quads_raw8(struct hmdc_quads *q)
{
    for (int32_t *y = q->y; y != q->y_end; y += 4)
        hmdc_quad(q, y, 0);
}
#endif

/* y[] = sums, int32; x: int16 */
#if HMDC_ASM
__attribute__((naked, noinline)) static void hmdc_quads_raw16(__attribute__((unused)) struct hmdc_quads *q)
{
    __asm__ volatile(
        HMDC_QUADS_ENTER("vctp.16") HMDC_QUADS_SUMS("vldrb.s16", "#8", "vmladava.s16")
        "stm r7!, {r0, r2, r4, r6}\n" HMDC_QUADS_LEAVE("vldrb.s16", "vmladava.s16"));
}
#else
static void hmdc_quads_raw16(struct hmdc_quads *q)
{
    for (int32_t *y = q->y; y != q->y_end; y += 4)
        hmdc_quad(q, y, 1);
}
#endif

/* y[] = (sums << shift) * multipliers, int32; x: int8 */
#if HMDC_ASM
__attribute__((naked, noinline)) static void hmdc_quads_sums(__attribute__((unused)) struct hmdc_quads *q)
{
    __asm__ volatile(
        HMDC_QUADS_ENTER("vctp.8") HMDC_QUADS_SUMS("vldrb.u8", "#16", "vmladava.s8") HMDC_QUADS_VECTOR
        "ldr lr, [sp]\n"
        "vshl.s32 q0, lr\n"
        "vrmulh.s32 q0, q0, q1\n"
        "vstrw.32 q0, [r7], #16\n" HMDC_QUADS_LEAVE("vldrb.u8", "vmladava.s8"));
}
#else
static void hmdc_quads_sums(struct hmdc_quads *q)
{
    for (int32_t *y = q->y; y != q->y_end; y += 4) {
        hmdc_quad(q, y, 0);
        for (int32_t i = 0; i < 4; i++)
            y[i] = hmdc_requant(y[i], *q->mult++, q->shift);
    }
}
#endif

/* y[] = sat16(sums * multipliers), int16; x: int8 */
#if HMDC_ASM
__attribute__((naked, noinline)) static void hmdc_quads_gates(__attribute__((unused)) struct hmdc_quads *q)
{
    __asm__ volatile(
        HMDC_QUADS_ENTER("vctp.8") HMDC_QUADS_SUMS("vldrb.u8", "#16", "vmladava.s8") HMDC_QUADS_VECTOR
        "vrmulh.s32 q0, q0, q1\n"
        "vqmovnb.s32 q0, q0\n"
        "vstrh.32 q0, [r7], #8\n" HMDC_QUADS_LEAVE("vldrb.u8", "vmladava.s8"));
}
#else
static void hmdc_quads_gates(struct hmdc_quads *q)
{
    for (int16_t *y = q->y; y != q->y_end; y += 4) {
        int32_t sum[4];
        hmdc_quad(q, sum, 0);
        for (int32_t i = 0; i < 4; i++)
            y[i] = (int16_t)hmdc_sat16(hmdc_mulr(sum[i], *q->mult++));
    }
}
#endif

/* sum[] = sums of n rows, quads and then single ones, from q->weights and q->start on; wide: x is int16 */
static void hmdc_quads_any(struct hmdc_quads *q, int32_t columns, int32_t n, int32_t *sum, int wide)
{
    const int32_t whole = n & ~3;
    const int32_t *start = q->start + whole;
    const int8_t *w = q->weights + whole * columns;
    q->y = sum;
    q->y_end = sum + whole;
    if (whole > 0) {
        if (wide)
            hmdc_quads_raw16(q);
        else
            hmdc_quads_raw8(q);
    }
    for (int32_t r = whole; r < n; r++, w += columns)
        sum[r] = wide ? hmdc_dot16(w, q->x, columns, *start++) : hmdc_dot8(w, q->x, columns, *start++);
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
