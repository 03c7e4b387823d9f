/* Dense products of int8 values.  See math.h. */
#ifndef HMDC_DSP_PAIRS_H
#define HMDC_DSP_PAIRS_H

#include "math.h"

/* Products of 8-bit weights with 16-bit values of 8-bit range, one operand or two.  A group is 4 rows; weights lie in
 * the order in which they are read: group after group, of a group 4 columns at a time, of these rows (0, 1) and then
 * (2, 3), two columns in a word whose halves are 256 * w1 + w0. */
struct hmdc_pairs {
    const int16_t *x, *x_end; /* 4-byte aligned, a multiple of 4 values */
    const int16_t *h, *h_end; /* likewise; one operand only: h_end = x_end */
    const uint32_t *weights;
    const int32_t *start;     /* 4 a group: where the sums start */
    const int32_t *mult;      /* 4 a group: from the sums to y; two operands: before these 4 from x to the sums of h */
    int32_t mult_step;        /* with `wide`: 0, or -16 for the same 4 multipliers again and again */
    int32_t shift;            /* left shift before the multiplier of x, or of y where y is wide */
    int32_t wide;             /* y is int32 and does not saturate; else int16 */
    void *y, *y_end;          /* 4 results a group */
};

#if HMDC_ASM
/* 4 columns: r6, r8 += w0 x and r7, r9 += (256 w1 + w0) x, 16 products by 14 instructions of 4 bytes each. */
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
/* r3 = where to enter the loop at r1 for the operand r2..r3, so that it ends with a whole round of 32 columns. */
#define HMDC_PAIRS_ENTRY \
    "sub r3, r3, r2\n" \
    "lsr r3, r3, #3\n" \
    "rsb r3, r3, #0\n" \
    "and r3, r3, #7\n" \
    "mov r4, #56\n" \
    "mla r3, r3, r4, r1\n"
#define HMDC_SHIFT_MULTIPLY(shift) \
    "lsl r6, r6, " shift "\n" \
    "lsl r7, r7, " shift "\n" \
    "lsl r8, r8, " shift "\n" \
    "lsl r9, r9, " shift "\n" HMDC_MULTIPLY
#define HMDC_MULTIPLY \
    "smmulr r6, r6, r1\n" \
    "smmulr r7, r7, r2\n" \
    "smmulr r8, r8, r3\n" \
    "smmulr r9, r9, r4\n"
#endif

/* y[] = the requantized sums; p->weights, p->start, p->mult and p->y move on.  The sums of odd rows start at 0 and get
 * their start behind the shift, so that only the products have to stay below 2^23. */
#if HMDC_ASM
__attribute__((naked, noinline)) static void hmdc_pairs_multiply(__attribute__((unused)) struct hmdc_pairs *p)
{
    __asm__ volatile(
        "push {r0, r4-r11, lr}\n"
        "sub sp, sp, #16\n" /* entries into the loop for x and for h, start of the odd rows; then p */
        "adr r1, 1f\n"
        "orr r1, r1, #1\n"
        "ldrd r2, r3, [r0]\n" HMDC_PAIRS_ENTRY
        "str r3, [sp]\n"
        "ldrd r2, r3, [r0, #8]\n" HMDC_PAIRS_ENTRY
        "str r3, [sp, #4]\n"
        "ldrd r11, lr, [r0, #16]\n"
        "0: ldr r0, [sp, #16]\n" /* a group: r11 weights, lr start, r6-r9 sums of rows 0-3 */
        "ldrd r10, r12, [r0]\n"
        "ldmia lr!, {r6-r9}\n"
        "ldr r1, [sp]\n"
        "strd r7, r9, [sp, #8]\n"
        "mov r7, r6\n"
        "mov r9, r8\n"
        "bx r1\n"
        ".balign 4\n"
        "1:\n" HMDC_PAIRS_4 HMDC_PAIRS_4 HMDC_PAIRS_4 HMDC_PAIRS_4 HMDC_PAIRS_4 HMDC_PAIRS_4 HMDC_PAIRS_4 HMDC_PAIRS_4
        "cmp r10, r12\n"
        "bne 1b\n"
        "ldr r0, [sp, #16]\n"
        "ldrd r1, r2, [sp, #8]\n"
        "sub r7, r7, r6\n"
        "sub r9, r9, r8\n"
        "add r7, r1, r7, asr #8\n"
        "add r9, r2, r9, asr #8\n"
        "ldr r5, [r0, #24]\n"
        "ldr r4, [r0, #12]\n"
        "cmp r12, r4\n"
        "ldmia r5!, {r1-r4}\n"
        "bne 2f\n"
        "ldr r12, [r0, #36]\n"
        "cmp r12, #0\n"
        "bne 3f\n"
        "str r5, [r0, #24]\n" HMDC_MULTIPLY
        "ssat r6, #16, r6\n"
        "ssat r7, #16, r7\n"
        "ssat r8, #16, r8\n"
        "ssat r9, #16, r9\n"
        "pkhbt r6, r6, r7, lsl #16\n"
        "pkhbt r8, r8, r9, lsl #16\n"
        "ldrd r1, r2, [r0, #40]\n"
        "str r6, [r1], #4\n" /* y may have the alignment of int16 */
        "str r8, [r1], #4\n"
        "str r1, [r0, #40]\n"
        "cmp r1, r2\n"
        "bne 0b\n"
        "b 4f\n"
        "2: str r5, [r0, #24]\n" /* the sums of h go on from those of x, brought to their scale */
        "ldr r5, [r0, #32]\n" HMDC_SHIFT_MULTIPLY("r5")
        "ldrd r10, r12, [r0, #8]\n"
        "ldr r1, [sp, #4]\n"
        "strd r7, r9, [sp, #8]\n"
        "mov r7, r6\n"
        "mov r9, r8\n"
        "bx r1\n"
        "3: ldrd r10, r12, [r0, #28]\n" /* int32 results */
        "add r5, r5, r10\n"
        "str r5, [r0, #24]\n" HMDC_SHIFT_MULTIPLY("r12")
        "ldrd r1, r2, [r0, #40]\n"
        "stmia r1!, {r6-r9}\n"
        "str r1, [r0, #40]\n"
        "cmp r1, r2\n"
        "bne 0b\n"
        "4: strd r11, lr, [r0, #16]\n"
        "add sp, sp, #16\n"
        "pop {r0, r4-r11, pc}\n");
}
#else
/* Adds the products of a group with the values from x to end. */
static void hmdc_pairs_group(struct hmdc_pairs *p, const int16_t *x, const int16_t *end, int32_t sum[4])
{
    for (; x != end; x += 4) {
        for (int32_t i = 0; i < 8; i++) {
            const uint32_t half = i & 1 ? p->weights[i / 2] >> 16 : p->weights[i / 2] & 0xffff;
            const int32_t both = (int32_t)half - (half >> 15 ? 65536 : 0);
            const int32_t w0 = ((both + 128) & 255) - 128, row = i / 4 * 2, column = i & 3;
            sum[row] += w0 * x[column];
            sum[row + 1] += (both - w0) / 256 * x[column];
        }
        p->weights += 4;
    }
}

static void hmdc_pairs_multiply(struct hmdc_pairs *p)
{
    do {
        int32_t sum[4];
        for (int32_t i = 0; i < 4; i++)
            sum[i] = *p->start++;
        hmdc_pairs_group(p, p->x, p->x_end, sum);
        if (p->h_end != p->x_end) {
            for (int32_t i = 0; i < 4; i++)
                sum[i] = hmdc_mulr(sum[i] * (1 << p->shift), *p->mult++);
            hmdc_pairs_group(p, p->h, p->h_end, sum);
        }
        for (int32_t i = 0; i < 4; i++) {
            if (p->wide)
                ((int32_t *)p->y)[i] = hmdc_mulr(sum[i] * (1 << p->shift), *p->mult++);
            else
                ((int16_t *)p->y)[i] = (int16_t)hmdc_sat16(hmdc_mulr(sum[i], *p->mult++));
        }
        p->mult += p->wide ? p->mult_step / 4 : 0;
        p->y = (char *)p->y + (p->wide ? 16 : 8);
    } while (p->y != p->y_end);
}
#endif

/* Products of 8-bit weights, in the order of hmdc_pairs, with three vectors of 16-bit values of 8-bit range.  Of the
 * vectors two columns at a time are side by side: a word of each.  A pass is two rows: six sums in registers. */
struct hmdc_block {
    const int16_t *x, *x_end; /* 4-byte aligned, a multiple of 4 values of each vector */
    const uint32_t *weights;
    int32_t skip;             /* columns / 4 and this are a multiple of 4 */
    int32_t next, both;       /* bytes from the end of the weights of a pass to the next, here and there 8 + `both` */
    const int32_t *start;     /* 2 a pass: where the sums start */
    const int32_t *mult;      /* 2 a pass */
    int32_t shift;            /* to the left, before the multiplier */
    int32_t y_step;           /* bytes from a vector of y to the next */
    int32_t *y, *y_end;       /* of the first vector, 2 a pass */
};

#if HMDC_ASM
/* 2 columns: r4-r6 += (256 w1 + w0) x and r7-r9 += w0 x, 12 products; w: their word. */
#define HMDC_BLOCK_2(w) \
    "ldmia r10!, {r0, r1, r2}\n" \
    "smlad r4, " w ", r0, r4\n" \
    "smlad r5, " w ", r1, r5\n" \
    "smlad r6, " w ", r2, r6\n" \
    "sxtb16 " w ", " w "\n" \
    "smlad r7, " w ", r0, r7\n" \
    "smlad r8, " w ", r1, r8\n" \
    "smlad r9, " w ", r2, r9\n"
/* 4 columns: 24 products by 17 instructions of 4 bytes each. */
#define HMDC_BLOCK_4 "ldrd r3, r12, [r11], #16\n" HMDC_BLOCK_2("r3") HMDC_BLOCK_2("r12")
__attribute__((naked, noinline)) static void hmdc_block_multiply(__attribute__((unused)) struct hmdc_block *p)
{
    __asm__ volatile(
        "push {r0, r4-r11, lr}\n"
        "sub sp, sp, #8\n" /* entry into the loop, start of the odd row; then p */
        "ldr r2, [r0, #12]\n"
        "mov r3, #68\n"
        "adr r1, 1f\n"
        "orr r1, r1, #1\n"
        "mla r1, r2, r3, r1\n"
        "str r1, [sp]\n"
        "ldr r11, [r0, #8]\n"
        "0: ldrd r10, lr, [r0]\n" /* a pass: r11 weights */
        "ldr r2, [r0, #24]\n"
        "ldrd r4, r3, [r2], #8\n"
        "str r2, [r0, #24]\n"
        "str r3, [sp, #4]\n"
        "mov r5, r4\n"
        "mov r6, r4\n"
        "mov r7, r4\n"
        "mov r8, r4\n"
        "mov r9, r4\n"
        "bx r1\n"
        ".balign 4\n"
        "1:\n" HMDC_BLOCK_4 HMDC_BLOCK_4 HMDC_BLOCK_4 HMDC_BLOCK_4
        "cmp r10, lr\n"
        "bne 1b\n"
        "ldr r0, [sp, #8]\n"
        "ldr r12, [sp, #4]\n"
        "sub r4, r4, r7\n"
        "sub r5, r5, r8\n"
        "sub r6, r6, r9\n"
        "add r4, r12, r4, asr #8\n"
        "add r5, r12, r5, asr #8\n"
        "add r6, r12, r6, asr #8\n"
        "ldrd r3, r12, [r0, #28]\n"
        "ldrd r1, r2, [r3], #8\n"
        "str r3, [r0, #28]\n"
        "lsl r4, r4, r12\n"
        "lsl r5, r5, r12\n"
        "lsl r6, r6, r12\n"
        "lsl r7, r7, r12\n"
        "lsl r8, r8, r12\n"
        "lsl r9, r9, r12\n"
        "smmulr r7, r7, r1\n"
        "smmulr r8, r8, r1\n"
        "smmulr r9, r9, r1\n"
        "smmulr r4, r4, r2\n"
        "smmulr r5, r5, r2\n"
        "smmulr r6, r6, r2\n"
        "ldrd r2, r3, [r0, #36]\n"
        "ldr r12, [r0, #44]\n"
        "add r1, r3, r2\n"
        "strd r7, r4, [r3], #8\n"
        "strd r8, r5, [r1]\n"
        "add r1, r1, r2\n"
        "strd r9, r6, [r1]\n"
        "str r3, [r0, #40]\n"
        "ldrd r1, r2, [r0, #16]\n"
        "add r11, r11, r1\n"
        "sub r1, r2, r1\n"
        "str r1, [r0, #16]\n"
        "ldr r1, [sp]\n"
        "cmp r3, r12\n"
        "bne 0b\n"
        "str r11, [r0, #8]\n"
        "add sp, sp, #8\n"
        "pop {r0, r4-r11, pc}\n");
}
#else
static void hmdc_block_multiply(struct hmdc_block *p)
{
    for (; p->y != p->y_end; p->y += 2, p->start += 2, p->mult += 2) {
        for (int32_t j = 0; j < 3; j++) {
            const uint32_t *word = p->weights;
            int32_t sum[2] = {p->start[0], p->start[1]};
            for (const int16_t *x = p->x; x != p->x_end; word += 4) {
                for (int32_t i = 0; i < 4; i++) {
                    const uint32_t half = i & 1 ? word[i / 2] >> 16 : word[i / 2] & 0xffff;
                    const int32_t both = (int32_t)half - (half >> 15 ? 65536 : 0);
                    const int32_t w0 = ((both + 128) & 255) - 128;
                    sum[0] += w0 * x[2 * j + (i & 1)];
                    sum[1] += (both - w0) / 256 * x[2 * j + (i & 1)];
                    x += i & 1 ? 6 : 0;
                }
            }
            p->y[j * p->y_step / 4] = hmdc_mulr(sum[0] * (1 << p->shift), p->mult[0]);
            p->y[j * p->y_step / 4 + 1] = hmdc_mulr(sum[1] * (1 << p->shift), p->mult[1]);
        }
        p->weights += (p->x_end - p->x) / 3 + p->next / 4;
        p->next = p->both - p->next;
    }
}
#endif

#endif
