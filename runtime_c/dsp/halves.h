/* Dense products of int16 values.  See math.h. */
#ifndef HMDC_DSP_HALVES_H
#define HMDC_DSP_HALVES_H

#include "math.h"

/* Products of 8-bit weights with two vectors of 16-bit values, side by side.  Weights: two rows at a time, of these 4
 * columns at a time, a word for each row with its columns in the order 0, 2, 1, 3. */
struct hmdc_halves {
    const int16_t *x, *x_end, *x2; /* 4-byte aligned, a multiple of 4 values; x2: the second vector */
    const uint32_t *weights;
    int32_t *y, *y_end; /* sums of two rows: row 0 of x and of x2, row 1 of x and of x2 */
};

#if HMDC_ASM
__attribute__((naked, noinline)) static void hmdc_halves_sums(__attribute__((unused)) struct hmdc_halves *p)
{
    __asm__ volatile(
        "push {r0, r4-r11, lr}\n"
        "ldr r10, [r0, #12]\n"
        "0: ldr r0, [sp]\n"
        "ldrd r11, r12, [r0]\n"
        "ldr lr, [r0, #8]\n"
        "movs r6, #0\n"
        "movs r7, #0\n"
        "mov r8, r6\n"
        "mov r9, r6\n"
        "1: ldmia r11!, {r0, r1}\n" /* 4 columns: 16 products by 15 instructions */
        "ldmia lr!, {r2, r3}\n"
        "ldr r5, [r10], #4\n"
        "sxtb16 r4, r5\n"
        "sxtb16 r5, r5, ror #8\n"
        "smlad r6, r4, r0, r6\n"
        "smlad r7, r4, r2, r7\n"
        "smlad r6, r5, r1, r6\n"
        "smlad r7, r5, r3, r7\n"
        "ldr r5, [r10], #4\n"
        "sxtb16 r4, r5\n"
        "sxtb16 r5, r5, ror #8\n"
        "smlad r8, r4, r0, r8\n"
        "smlad r9, r4, r2, r9\n"
        "smlad r8, r5, r1, r8\n"
        "smlad r9, r5, r3, r9\n"
        "cmp r11, r12\n"
        "bne 1b\n"
        "ldr r0, [sp]\n"
        "ldrd r1, r2, [r0, #16]\n"
        "stmia r1!, {r6-r9}\n"
        "str r1, [r0, #16]\n"
        "cmp r1, r2\n"
        "bne 0b\n"
        "str r10, [r0, #12]\n"
        "pop {r0, r4-r11, pc}\n");
}
#else
static void hmdc_halves_sums(struct hmdc_halves *p)
{
    for (; p->y != p->y_end; p->y += 4) {
        for (int32_t i = 0; i < 4; i++)
            p->y[i] = 0;
        for (int32_t c = 0; c < p->x_end - p->x; c += 4) {
            for (int32_t i = 0; i < 8; i++) {
                const int32_t byte = (int32_t)(*p->weights >> 8 * (i & 3) & 255), column = c + (i & 1) * 2 + (i >> 1 & 1);
                const int32_t w = byte - (byte > 127 ? 256 : 0);
                p->y[i / 4 * 2] += w * p->x[column];
                p->y[i / 4 * 2 + 1] += w * p->x2[column];
                p->weights += (i & 3) == 3;
            }
        }
    }
}
#endif

/* Products of 8-bit weights with one vector of 16-bit values.  Weights: 4 rows at a time, of these 4 columns at a time,
 * a word for each row with its columns in the order 0, 2, 1, 3. */
struct hmdc_vector {
    const int16_t *x, *x_end; /* 4-byte aligned, a multiple of 4 values */
    const uint32_t *weights;
    int32_t *y, *y_end; /* sums of 4 rows */
};

#if HMDC_ASM
/* 4 products of a row by 4 instructions; w: its word, sum: its sum. */
#define HMDC_VECTOR_ROW(w, sum) \
    "sxtb16 r12, " w "\n" \
    "sxtb16 " w ", " w ", ror #8\n" \
    "smlad " sum ", r12, r0, " sum "\n" \
    "smlad " sum ", " w ", r1, " sum "\n"
__attribute__((naked, noinline)) static void hmdc_vector_sums(__attribute__((unused)) struct hmdc_vector *p)
{
    __asm__ volatile(
        "push {r0, r4-r11, lr}\n"
        "ldr r10, [r0, #8]\n"
        "0: ldr r0, [sp]\n"
        "ldrd r11, lr, [r0]\n"
        "movs r6, #0\n"
        "movs r7, #0\n"
        "mov r8, r6\n"
        "mov r9, r6\n"
        "1: ldmia r11!, {r0, r1}\n"
        "ldmia r10!, {r2-r5}\n" HMDC_VECTOR_ROW("r2", "r6") HMDC_VECTOR_ROW("r3", "r7") HMDC_VECTOR_ROW("r4", "r8")
        HMDC_VECTOR_ROW("r5", "r9")
        "cmp r11, lr\n"
        "bne 1b\n"
        "ldr r0, [sp]\n"
        "ldrd r1, r2, [r0, #12]\n"
        "stmia r1!, {r6-r9}\n"
        "str r1, [r0, #12]\n"
        "cmp r1, r2\n"
        "bne 0b\n"
        "str r10, [r0, #8]\n"
        "pop {r0, r4-r11, pc}\n");
}
#else
static void hmdc_vector_sums(struct hmdc_vector *p)
{
    for (; p->y != p->y_end; p->y += 4) {
        for (int32_t i = 0; i < 4; i++)
            p->y[i] = 0;
        for (const int16_t *x = p->x; x != p->x_end; x += 4, p->weights += 4) {
            for (int32_t i = 0; i < 16; i++) {
                const int32_t byte = (int32_t)(p->weights[i / 4] >> 8 * (i & 3) & 255);
                p->y[i / 4] += (byte - (byte > 127 ? 256 : 0)) * x[(i & 1) * 2 + (i >> 1 & 1)];
            }
        }
    }
}
#endif

/* Two vectors of 8 values each stay in registers while the rows pass by.  A row is 4 words: two with 4 columns each
 * in the order 0, 2, 1, 3, then where its two sums start. */
struct hmdc_columns {
    const uint32_t *rows, *rows_end;
    int32_t mult;
    int16_t *y; /* two results a row */
};

#if HMDC_ASM
__attribute__((naked, noinline)) static void hmdc_columns_rows(__attribute__((unused)) struct hmdc_columns *p,
                                                               __attribute__((unused)) const int16_t *x)
{
    __asm__ volatile(
        "push {r4-r11, lr}\n"
        "ldmia r0, {r4-r7}\n"
        "mov r12, r4\n"
        "push {r5-r7}\n" /* end of the rows, multiplier, y */
        "ldmia r1, {r0-r7}\n"
        "1: ldmia r12!, {r8-r11}\n"
        "sxtb16 lr, r8\n"
        "sxtb16 r8, r8, ror #8\n"
        "smlad r10, lr, r0, r10\n"
        "smlad r11, lr, r4, r11\n"
        "smlad r10, r8, r1, r10\n"
        "smlad r11, r8, r5, r11\n"
        "sxtb16 lr, r9\n"
        "sxtb16 r9, r9, ror #8\n"
        "smlad r10, lr, r2, r10\n"
        "smlad r11, lr, r6, r11\n"
        "smlad r10, r9, r3, r10\n"
        "smlad r11, r9, r7, r11\n"
        "ldmia sp, {r8, r9, lr}\n"
        "smmulr r10, r10, r9\n"
        "smmulr r11, r11, r9\n"
        "ssat r10, #16, r10\n"
        "ssat r11, #16, r11\n"
        "pkhbt r10, r10, r11, lsl #16\n"
        "str r10, [lr], #4\n"
        "str lr, [sp, #8]\n"
        "cmp r12, r8\n"
        "bne 1b\n"
        "add sp, sp, #12\n"
        "pop {r4-r11, pc}\n");
}
#else
static void hmdc_columns_rows(struct hmdc_columns *p, const int16_t *x)
{
    for (const uint32_t *row = p->rows; row != p->rows_end; row += 4) {
        for (int32_t j = 0; j < 2; j++) {
            int32_t sum = (int32_t)row[2 + j];
            for (int32_t i = 0; i < 8; i++) {
                const int32_t byte = (int32_t)(row[i / 4] >> 8 * (i & 3) & 255);
                sum += (byte - (byte > 127 ? 256 : 0)) * x[8 * j + i / 4 * 4 + (i & 1) * 2 + (i >> 1 & 1)];
            }
            *p->y++ = (int16_t)hmdc_sat16(hmdc_mulr(sum, p->mult));
        }
    }
}
#endif

#endif
