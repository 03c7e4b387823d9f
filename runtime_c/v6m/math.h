/* Helpers for Cortex-M0 and M0+; they take the place of those of the same name in hmdc_math.h.  None of them
 * multiplies to 64 bits, which this core does in a library function.
 * HMDC_ASM is 1 where the assembly can be used; the C beside it gives the same bits. */
#ifndef HMDC_V6M_MATH_H
#define HMDC_V6M_MATH_H

#include "../hmdc_math.h"

/* (a * b + 2^31) >> 32 for b >= 0, from halves: a = 2^16 a1 + a0, b = 2^16 b1 + b0 with 0 <= a0, b0 < 2^16.  Every sum
 * stays below 2^31: the largest is 32767 * 65535 + 65534 + 32768 = 2^31 - 1. */
static inline int32_t hmdc_mulr(int32_t a, int32_t b)
{
    const int32_t a1 = a >> 16, b1 = b >> 16;
    const uint32_t a0 = (uint16_t)a, b0 = (uint16_t)b;
    const int32_t middle = a1 * (int32_t)b0 + (int32_t)(a0 * b0 >> 16) + 32768;
    const uint32_t rest = a0 * (uint32_t)b1 + (uint16_t)middle;
    return a1 * b1 + (middle >> 16) + (int32_t)(rest >> 16);
}

/* middle: knot of x = 0 among knots 256 apart; x: -32768..32767. */
static inline int32_t hmdc_interpolate(const int16_t *middle, int32_t x)
{
#if HMDC_ASM
    int32_t left, right;
    __asm__(
        ".syntax unified\n"
        "asrs %1, %2, #8\n"
        "lsls %1, %1, #1\n"
        "ldrsh %0, [%3, %1]\n"
        "adds %1, #2\n"
        "ldrsh %1, [%3, %1]\n"
        "subs %1, %1, %0\n"
        "uxtb %2, %2\n"
        "muls %1, %2, %1\n"
        "adds %1, #128\n"
        "asrs %1, %1, #8\n"
        "adds %0, %0, %1\n"
        : "=&l"(left), "=&l"(right), "+l"(x)
        : "l"(middle)
        : "cc");
    return left;
#else
    const int16_t *left = middle + (x >> 8);
    return left[0] + (((left[1] - left[0]) * (x & 255) + 128) >> 8);
#endif
}

static inline int32_t hmdc_sat16(int32_t v)
{
    return v == (int16_t)v ? v : (v >> 31) ^ 32767;
}

static inline int32_t hmdc_sat8(int32_t v)
{
    return v == (int8_t)v ? v : (v >> 31) ^ 127;
}

/* (v * mult + 2^(down + 15)) >> (down + 16) for 0 <= mult < 2^16 and |v| <= 2^30; down: 1..30 */
static inline int32_t hmdc_scale16(int32_t v, int32_t mult, int32_t down)
{
    const int32_t low = (int32_t)((uint32_t)(uint16_t)v * (uint32_t)mult >> 16);
    return ((v >> 16) * mult + low + (1 << (down - 1))) >> down;
}

/* The products of 8 rows with one operand. */
struct hmdc_rows {
    const uint8_t *weights;   /* 8 for each column, each + 128 */
    const int32_t *x, *x_end; /* -128 times the sum of all values modulo 2^32, then these */
    const int32_t *start;     /* 8: where the sums start */
    int32_t sum[8];
};

#if HMDC_ASM
/* The weights of one column at r0 + at: 8 products by 25 instructions.  r1: operand, r4-r11: sums */
#define HMDC_ROWS_LOW(at, sum) \
    "ldrb r3, [r0, #" at "]\n" \
    "muls r3, r2, r3\n" \
    "adds " sum ", " sum ", r3\n"
#define HMDC_ROWS_HIGH(at, sum) \
    "ldrb r3, [r0, #" at "]\n" \
    "muls r3, r2, r3\n" \
    "add " sum ", r3\n"
#define HMDC_ROWS_COLUMN(at) \
    "ldmia r1!, {r2}\n" HMDC_ROWS_HIGH(at "+0", "r8") HMDC_ROWS_HIGH(at "+1", "r9") HMDC_ROWS_HIGH(at "+2", "r10") \
    HMDC_ROWS_HIGH(at "+3", "r11") HMDC_ROWS_LOW(at "+4", "r4") HMDC_ROWS_LOW(at "+5", "r5") \
    HMDC_ROWS_LOW(at "+6", "r6") HMDC_ROWS_LOW(at "+7", "r7")
#endif

/* p->sum[] = p->start[] + the products.  p->weights moves on. */
#if HMDC_ASM
__attribute__((naked, noinline)) static void hmdc_rows_add(__attribute__((unused)) struct hmdc_rows *p)
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n"
        "mov r5, r9\n"
        "mov r6, r10\n"
        "mov r7, r11\n"
        "push {r0, r4-r7}\n" /* p, then r8-r11 */
        "ldmia r0, {r0-r3}\n"
        "mov lr, r2\n"
        "ldmia r3!, {r4-r7}\n"
        "mov r8, r4\n"
        "mov r9, r5\n"
        "mov r10, r6\n"
        "mov r11, r7\n"
        "ldmia r3!, {r4-r7}\n"
        "ldmia r1!, {r3}\n"
        "add r8, r3\n"
        "add r9, r3\n"
        "add r10, r3\n"
        "add r11, r3\n"
        "adds r4, r4, r3\n"
        "adds r5, r5, r3\n"
        "adds r6, r6, r3\n"
        "adds r7, r7, r3\n"
        "subs r2, r2, r1\n" /* r12: end of the columns that make no 4 */
        "lsls r2, r2, #28\n"
        "lsrs r2, r2, #28\n"
        "adds r2, r2, r1\n"
        "mov r12, r2\n"
        "b 2f\n"
        "1:\n" HMDC_ROWS_COLUMN("0")
        "adds r0, #8\n"
        "2: cmp r1, r12\n"
        "bne 1b\n"
        "b 4f\n"
        "3:\n" HMDC_ROWS_COLUMN("0") HMDC_ROWS_COLUMN("8") HMDC_ROWS_COLUMN("16") HMDC_ROWS_COLUMN("24")
        "adds r0, #32\n"
        "4: cmp r1, lr\n"
        "bne 3b\n" /* reaches 256 bytes */
        "pop {r3}\n"
        "stmia r3!, {r0}\n"
        "adds r3, #12\n"
        "mov r1, r8\n"
        "mov r2, r9\n"
        "stmia r3!, {r1, r2}\n"
        "mov r1, r10\n"
        "mov r2, r11\n"
        "stmia r3!, {r1, r2}\n"
        "stmia r3!, {r4-r7}\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n"
        "mov r9, r5\n"
        "mov r10, r6\n"
        "mov r11, r7\n"
        "pop {r4-r7, pc}\n");
}
#else
static void hmdc_rows_add(struct hmdc_rows *p)
{
    uint32_t sum[8];
    for (int32_t i = 0; i < 8; i++)
        sum[i] = (uint32_t)p->start[i] + (uint32_t)*p->x;
    for (const int32_t *x = p->x + 1; x != p->x_end; x++) {
        for (int32_t i = 0; i < 8; i++)
            sum[i] += *p->weights++ * (uint32_t)*x;
    }
    for (int32_t i = 0; i < 8; i++)
        p->sum[i] = (int32_t)sum[i];
}
#endif

#endif
