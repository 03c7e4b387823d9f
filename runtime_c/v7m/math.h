/* Helpers for Cortex-M3; they take the place of those of the same name in hmdc_math.h.
 * HMDC_ASM is 1 where the assembly can be used; the C beside it gives the same bits. */
#ifndef HMDC_V7M_MATH_H
#define HMDC_V7M_MATH_H

#include "../hmdc_math.h"

/* (a * b + 2^31) >> 32 */
static inline int32_t hmdc_mulr(int32_t a, int32_t b)
{
#if HMDC_ASM
    int32_t low, high;
    __asm__("smull %0, %1, %2, %3" : "=&r"(low), "=&r"(high) : "r"(a), "r"(b));
    return high + (int32_t)((uint32_t)low >> 31);
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

/* middle: knot of x = 0 among knots 256 apart; x: -32768..32767.  Both knots by one load, whose alignment is 2. */
static inline int32_t hmdc_interpolate(const int16_t *middle, int32_t x)
{
    const int16_t *left = middle + (x >> 8);
#if HMDC_ASM
    int32_t knots;
    __builtin_memcpy(&knots, left, 4);
    const int32_t first = (int16_t)knots;
    return first + ((((knots >> 16) - first) * (x & 255) + 128) >> 8);
#else
    return left[0] + (((left[1] - left[0]) * (x & 255) + 128) >> 8);
#endif
}

/* Cross multiplication of int8.  A word of weights is 4 columns of one row, its bytes w0 + 128, w2 + 128, w1 + 128,
 * w3 + 128 with |w| <= 127; modulo 2^32
 *
 *   (w0 + 2^16 w1) (x1 + 2^16 x0) = w0 x1 + 2^16 (w0 x0 + w1 x1)
 *
 * and likewise for columns 2 and 3.  The operand has two words for each pair of columns: x1 + 2^16 x0, and a constant
 * that takes the 128 away and makes the lower half nonnegative: the upper half is then the sum over the pair.
 *
 * Groups of 4 rows; one operand: h = x, or two: the sums of h go on from those of x, (sums << shift) * mult. */
struct hmdc_products {
    const int32_t *x, *x_end; /* a multiple of 4 columns, at most 4096 */
    const int32_t *h, *h_end; /* likewise */
    const uint32_t *weights;  /* of a group: 4 columns of its rows, then the next; those of x, then those of h */
    const int32_t *start;     /* 4 a group: where the sums start */
    const int32_t *mult;      /* 4 a group for each operand; null: y = sums, int32; else y = sat16(sums * mult), int16 */
    int32_t shift;
    void *y, *y_end; /* 4 results a group */
};

#if HMDC_ASM
/* A word of weights.  r0-r3: the operand of its columns, r10: 0x00ff00ff and a counter above it */
#define HMDC_PRODUCTS_ROW(w, sum) \
    "and lr, r10, " w ", lsr #8\n" \
    "and " w ", " w ", #0x00ff00ff\n" \
    "mla " w ", " w ", r0, r1\n" \
    "mla lr, lr, r2, r3\n" \
    "add " sum ", " sum ", " w ", asr #16\n" \
    "add " sum ", " sum ", lr, asr #16\n"
/* 16 products by 27 instructions of 4 bytes each.  r11: weights, r12: operand, r6-r9: sums */
#define HMDC_PRODUCTS_4 \
    "ldmia r12!, {r0-r3}\n" \
    "ldmia r11!, {r4, r5}\n" HMDC_PRODUCTS_ROW("r4", "r6") HMDC_PRODUCTS_ROW("r5", "r7") \
    "ldmia r11!, {r4, r5}\n" HMDC_PRODUCTS_ROW("r4", "r8") HMDC_PRODUCTS_ROW("r5", "r9")
/* For the operand r2..r3 and the loop at r1: r4 = where to enter it, so that it ends with a whole round of 16 columns,
 * r5 = r10 with the number of rounds after the first in its highest byte. */
#define HMDC_PRODUCTS_ENTRY \
    "sub r3, r3, r2\n" \
    "lsr r3, r3, #4\n" \
    "sub r5, r3, #1\n" \
    "lsr r5, r5, #2\n" \
    "add r5, r10, r5, lsl #24\n" \
    "rsb r3, r3, #0\n" \
    "and r3, r3, #3\n" \
    "mov r4, #108\n" \
    "mla r4, r3, r4, r1\n"
/* r6-r9 times r1-r4 */
#define HMDC_PRODUCTS_MULTIPLY \
    "smull lr, r6, r6, r1\n" \
    "smull r1, r7, r7, r2\n" \
    "smull r2, r8, r8, r3\n" \
    "smull r3, r9, r9, r4\n" \
    "add r6, r6, lr, lsr #31\n" \
    "add r7, r7, r1, lsr #31\n" \
    "add r8, r8, r2, lsr #31\n" \
    "add r9, r9, r3, lsr #31\n"
#endif

/* The groups from p->y to p->y_end.  p->weights, p->start, p->mult and p->y move on. */
#if HMDC_ASM
__attribute__((naked, noinline)) static void hmdc_products_groups(__attribute__((unused)) struct hmdc_products *p)
{
    __asm__ volatile(
        "push {r0, r4-r11, lr}\n"
        "sub sp, sp, #16\n" /* entry and rounds of x, of h; then p */
        "mov r10, #0x00ff00ff\n"
        "adr r1, 1f\n"
        "orr r1, r1, #1\n"
        "ldrd r2, r3, [r0]\n" HMDC_PRODUCTS_ENTRY
        "strd r4, r5, [sp]\n"
        "ldrd r2, r3, [r0, #8]\n" HMDC_PRODUCTS_ENTRY
        "strd r4, r5, [sp, #8]\n"
        "ldr r11, [r0, #16]\n"
        "0: ldr r0, [sp, #16]\n" /* a group */
        "ldr r12, [r0]\n"
        "ldr r4, [r0, #20]\n"
        "ldmia r4!, {r6-r9}\n"
        "str r4, [r0, #20]\n"
        "ldrd r1, r10, [sp]\n"
        "bx r1\n"
        ".balign 4\n"
        "1:\n" HMDC_PRODUCTS_4 HMDC_PRODUCTS_4 HMDC_PRODUCTS_4 HMDC_PRODUCTS_4
        "subs r10, r10, #0x01000000\n"
        "bcs 1b\n"
        "ldr r0, [sp, #16]\n"
        "ldr r4, [r0, #12]\n"
        "ldr r5, [r0, #24]\n"
        "cmp r12, r4\n"
        "bne 2f\n"
        "cmp r5, #0\n"
        "beq 3f\n"
        "ldmia r5!, {r1-r4}\n"
        "str r5, [r0, #24]\n" HMDC_PRODUCTS_MULTIPLY
        "ssat r6, #16, r6\n"
        "ssat r7, #16, r7\n"
        "ssat r8, #16, r8\n"
        "ssat r9, #16, r9\n"
        "ldrd r1, r2, [r0, #32]\n"
        "strh r6, [r1], #2\n"
        "strh r7, [r1], #2\n"
        "strh r8, [r1], #2\n"
        "strh r9, [r1], #2\n"
        "str r1, [r0, #32]\n"
        "cmp r1, r2\n"
        "bne 0b\n"
        "b 4f\n"
        "2: ldmia r5!, {r1-r4}\n" /* the sums of h go on from those of x, brought to their scale */
        "str r5, [r0, #24]\n"
        "ldr r5, [r0, #28]\n"
        "lsl r6, r6, r5\n"
        "lsl r7, r7, r5\n"
        "lsl r8, r8, r5\n"
        "lsl r9, r9, r5\n" HMDC_PRODUCTS_MULTIPLY
        "ldr r12, [r0, #8]\n"
        "ldrd r1, r10, [sp, #8]\n"
        "bx r1\n"
        "3: ldrd r1, r2, [r0, #32]\n" /* int32 sums */
        "stmia r1!, {r6-r9}\n"
        "str r1, [r0, #32]\n"
        "cmp r1, r2\n"
        "bne 0b\n"
        "4: str r11, [r0, #16]\n"
        "add sp, sp, #16\n"
        "pop {r0, r4-r11, pc}\n");
}
#else
/* Adds the products of a group with the operand from x to end. */
static void hmdc_products_add(struct hmdc_products *p, const int32_t *x, const int32_t *end, int32_t sum[4])
{
    for (; x != end; x += 4) {
        for (int32_t i = 0; i < 4; i++) {
            const uint32_t w = *p->weights++;
            const uint32_t first = (w & 0x00ff00ff) * (uint32_t)x[0] + (uint32_t)x[1];
            const uint32_t second = (w >> 8 & 0x00ff00ff) * (uint32_t)x[2] + (uint32_t)x[3];
            sum[i] += ((int32_t)first >> 16) + ((int32_t)second >> 16);
        }
    }
}

static void hmdc_products_groups(struct hmdc_products *p)
{
    do {
        int32_t sum[4];
        for (int32_t i = 0; i < 4; i++)
            sum[i] = *p->start++;
        hmdc_products_add(p, p->x, p->x_end, sum);
        if (p->h_end != p->x_end) {
            for (int32_t i = 0; i < 4; i++)
                sum[i] = hmdc_mulr(sum[i] * (1 << p->shift), *p->mult++);
            hmdc_products_add(p, p->h, p->h_end, sum);
        }
        for (int32_t i = 0; i < 4; i++) {
            if (p->mult)
                ((int16_t *)p->y)[i] = (int16_t)hmdc_sat16(hmdc_mulr(sum[i], *p->mult++));
            else
                ((int32_t *)p->y)[i] = sum[i];
        }
        p->y = (char *)p->y + (p->mult ? 8 : 16);
    } while (p->y != p->y_end);
}
#endif

#endif
