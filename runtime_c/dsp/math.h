/* Helpers for cores with the DSP extension; they take the place of those of the same name in hmdc_math.h.
 * HMDC_ASM is 1 where the assembly can be used; the C beside it gives the same bits. */
#ifndef HMDC_DSP_MATH_H
#define HMDC_DSP_MATH_H

#include <stdint.h>

/* (a * b + 2^31) >> 32 */
static inline int32_t hmdc_mulr(int32_t a, int32_t b)
{
#if HMDC_ASM
    int32_t r;
    __asm__("smmulr %0, %1, %2" : "=r"(r) : "r"(a), "r"(b));
    return r;
#else
    return (int32_t)(((int64_t)a * b + 0x80000000) >> 32);
#endif
}

static inline int32_t hmdc_sat16(int32_t v)
{
#if HMDC_ASM
    int32_t r;
    __asm__("ssat %0, #16, %1" : "=r"(r) : "r"(v));
    return r;
#else
    return v < -32768 ? -32768 : v > 32767 ? 32767 : v;
#endif
}

static inline int32_t hmdc_sat8(int32_t v)
{
#if HMDC_ASM
    int32_t r;
    __asm__("ssat %0, #8, %1" : "=r"(r) : "r"(v));
    return r;
#else
    return v < -128 ? -128 : v > 127 ? 127 : v;
#endif
}

/* middle: knot of x = 0 among knots 256 apart; x: -32768..32767.  Both knots by one load, both products by one SMLAD. */
static inline int32_t hmdc_interpolate(const int16_t *middle, int32_t x)
{
    const int16_t *left = middle + (x >> 8);
#if HMDC_ASM
    const uint32_t part = (uint32_t)x & 255;
    uint32_t knots;
    int32_t r;
    __builtin_memcpy(&knots, left, 4);
    __asm__("smlad %0, %1, %2, %3" : "=r"(r) : "r"(knots), "r"((part << 16) + 256 - part), "r"(128));
    return r >> 8;
#else
    return left[0] + (((left[1] - left[0]) * (x & 255) + 128) >> 8);
#endif
}

/* Products of 8-bit weights with 16-bit values of 8-bit range.  A group is 4 rows; weights lie in the order in which
 * they are read: of a group 4 columns at a time, of these rows (0, 1) and then (2, 3), two columns in a word whose
 * halves are 256 * w1 + w0. */
struct hmdc_pairs {
    const int16_t *x, *x16, *end; /* x16: end of the columns that are taken 16 at a time; end: of the others, 4 at a time */
    void *y, *y_end;              /* 4 results a group */
    const uint32_t *weights;
    const int32_t *start;         /* 4 a group: where the sums start */
    const int32_t *mult;          /* 4 a group; unused for raw sums */
    int32_t shift;                /* left shift before multiplying, for hmdc_pairs_sums */
};

/* The sums of one group, in C. */
static inline void hmdc_pairs_group(struct hmdc_pairs *p, int32_t sum[4])
{
    for (int32_t i = 0; i < 4; i++)
        sum[i] = *p->start++;
    for (const int16_t *x = p->x; x != p->end; x += 4) {
        for (int32_t i = 0; i < 8; i++) {
            const uint32_t half = i & 1 ? p->weights[i / 2] >> 16 : p->weights[i / 2] & 0xffff;
            const int32_t both = (int32_t)half - (half >> 15 ? 65536 : 0);
            const int32_t w0 = ((both + 128) & 255) - 128;
            sum[i / 4 * 2] += w0 * x[i & 3];
            sum[i / 4 * 2 + 1] += (both - w0) / 256 * x[i & 3];
        }
        p->weights += 4;
    }
}

#if HMDC_ASM
/* 4 columns: sum0 += w0 x, sum1 += (256 w1 + w0) x for two pairs of rows, 16 products by 14 instructions. */
#define HMDC_PAIRS_4 \
    "ldmia r10!, {r0, r1}\n" \
    "ldmia r11!, {r2-r5}\n" \
    "smlad r7, r2, r0, r7\n" \
    "sxtb16 r2, r2\n" \
    "smlad r6, r2, r0, r6\n" \
    "smlad r7, r3, r1, r7\n" \
    "sxtb16 r3, r3\n" \
    "smlad r6, r3, r1, r6\n" \
    "smlad r9, r4, r0, r9\n" \
    "sxtb16 r4, r4\n" \
    "smlad r8, r4, r0, r8\n" \
    "smlad r9, r5, r1, r9\n" \
    "sxtb16 r5, r5\n" \
    "smlad r8, r5, r1, r8\n"
/* r6-r9 = the sums of the group at r11 (weights) and lr (start); the start of the odd rows is added behind the shift,
 * so that only the products have to stay below 2^23.  On the stack: p, x, x16, end, y, y_end, mult,
 * shift. */
#define HMDC_PAIRS_GROUP \
    "0: ldrd r10, r12, [sp, #4]\n" \
    "ldmia lr!, {r6-r9}\n" \
    "mov r7, r6\n" \
    "mov r9, r8\n" \
    "cmp r10, r12\n" \
    "beq 2f\n" \
    "1:\n" HMDC_PAIRS_4 HMDC_PAIRS_4 HMDC_PAIRS_4 HMDC_PAIRS_4 \
    "cmp r10, r12\n" \
    "bne 1b\n" \
    "2: ldr r12, [sp, #12]\n" \
    "b 4f\n" \
    "3:\n" HMDC_PAIRS_4 \
    "4: cmp r10, r12\n" \
    "bne 3b\n" \
    "ldr r0, [lr, #-12]\n" \
    "ldr r1, [lr, #-4]\n" \
    "sub r7, r7, r6\n" \
    "sub r9, r9, r8\n" \
    "add r7, r0, r7, asr #8\n" \
    "add r9, r1, r9, asr #8\n"
#define HMDC_PAIRS_ENTER \
    "push {r4-r11, lr}\n" \
    "ldmia r0, {r1-r9}\n" \
    "push {r0-r5, r8, r9}\n" \
    "mov r11, r6\n" \
    "mov lr, r7\n"
#define HMDC_PAIRS_LEAVE \
    "ldr r0, [sp]\n" \
    "str r11, [r0, #20]\n" \
    "str lr, [r0, #24]\n" \
    "add sp, sp, #32\n" \
    "pop {r4-r11, pc}\n"
#endif

/* y[] = sums, int32.  p->weights and p->start move on. */
#if HMDC_ASM
__attribute__((naked, noinline)) static void hmdc_pairs_raw(__attribute__((unused)) struct hmdc_pairs *p)
{
    __asm__ volatile(
        HMDC_PAIRS_ENTER HMDC_PAIRS_GROUP
        "ldrd r0, r1, [sp, #16]\n"
        "stmia r0!, {r6-r9}\n"
        "str r0, [sp, #16]\n"
        "cmp r0, r1\n"
        "bne 0b\n" HMDC_PAIRS_LEAVE);
}
#else
static void hmdc_pairs_raw(struct hmdc_pairs *p)
{
    for (int32_t *y = p->y; y != p->y_end; y += 4)
        hmdc_pairs_group(p, y);
}
#endif

/* y[] = (sums << shift) * mult, int32.  p->weights, p->start and p->mult move on. */
#if HMDC_ASM
__attribute__((naked, noinline)) static void hmdc_pairs_sums(__attribute__((unused)) struct hmdc_pairs *p)
{
    __asm__ volatile(
        HMDC_PAIRS_ENTER HMDC_PAIRS_GROUP
        "ldrd r5, r4, [sp, #24]\n"
        "ldmia r5!, {r0-r3}\n"
        "str r5, [sp, #24]\n"
        "lsl r6, r6, r4\n"
        "lsl r7, r7, r4\n"
        "lsl r8, r8, r4\n"
        "lsl r9, r9, r4\n"
        "smmulr r6, r6, r0\n"
        "smmulr r7, r7, r1\n"
        "smmulr r8, r8, r2\n"
        "smmulr r9, r9, r3\n"
        "ldrd r0, r1, [sp, #16]\n"
        "stmia r0!, {r6-r9}\n"
        "str r0, [sp, #16]\n"
        "cmp r0, r1\n"
        "bne 0b\n"
        "ldr r0, [sp]\n"
        "str r5, [r0, #28]\n" HMDC_PAIRS_LEAVE);
}
#else
static void hmdc_pairs_sums(struct hmdc_pairs *p)
{
    for (int32_t *y = p->y; y != p->y_end; y += 4) {
        hmdc_pairs_group(p, y);
        for (int32_t i = 0; i < 4; i++)
            y[i] = hmdc_mulr(y[i] * (1 << p->shift), *p->mult++);
    }
}
#endif

/* y[] = sat16(sums * mult), int16.  p->weights, p->start and p->mult move on. */
#if HMDC_ASM
__attribute__((naked, noinline)) static void hmdc_pairs_gates(__attribute__((unused)) struct hmdc_pairs *p)
{
    __asm__ volatile(
        HMDC_PAIRS_ENTER HMDC_PAIRS_GROUP
        "ldr r5, [sp, #24]\n"
        "ldmia r5!, {r0-r3}\n"
        "str r5, [sp, #24]\n"
        "smmulr r6, r6, r0\n"
        "smmulr r7, r7, r1\n"
        "smmulr r8, r8, r2\n"
        "smmulr r9, r9, r3\n"
        "ssat r6, #16, r6\n"
        "ssat r7, #16, r7\n"
        "ssat r8, #16, r8\n"
        "ssat r9, #16, r9\n"
        "pkhbt r6, r6, r7, lsl #16\n"
        "pkhbt r8, r8, r9, lsl #16\n"
        "ldrd r0, r1, [sp, #16]\n"
        "str r6, [r0], #4\n" /* y may have the alignment of int16 */
        "str r8, [r0], #4\n"
        "str r0, [sp, #16]\n"
        "cmp r0, r1\n"
        "bne 0b\n"
        "ldr r0, [sp]\n"
        "str r5, [r0, #28]\n" HMDC_PAIRS_LEAVE);
}
#else
static void hmdc_pairs_gates(struct hmdc_pairs *p)
{
    for (int16_t *y = p->y; y != p->y_end; y += 4) {
        int32_t sum[4];
        hmdc_pairs_group(p, sum);
        for (int32_t i = 0; i < 4; i++)
            y[i] = (int16_t)hmdc_sat16(hmdc_mulr(sum[i], *p->mult++));
    }
}
#endif

#endif
