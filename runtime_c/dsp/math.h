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

/* sum + ((a * b + 2^31) >> 32) */
static inline int32_t hmdc_add_mulr(int32_t sum, int32_t a, int32_t b)
{
#if HMDC_ASM
    int32_t r;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(sum));
    return r;
#else
    return sum + hmdc_mulr(a, b);
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

/* middle: knot of x = 0 among knots 256 apart, a constant table; x: -32768..32767.  Both knots by one load, both products
 * by one SMLAD: their weights are 256 - part and part, in one word 65535 part + 256. */
static inline int32_t hmdc_interpolate(const int16_t *middle, int32_t x)
{
#if HMDC_ASM
    uint32_t knots, weights;
    int32_t r;
    __asm__("ldr %0, [%1, %2, lsl #1]" : "=r"(knots) : "r"(middle), "r"(x >> 8));
    __asm__("mla %0, %1, %2, %3" : "=r"(weights) : "r"(x & 255), "r"(65535), "r"(256));
    __asm__("smlad %0, %1, %2, %3" : "=r"(r) : "r"(knots), "r"(weights), "r"(128));
    return r >> 8;
#else
    const int16_t *left = middle + (x >> 8);
    return left[0] + (((left[1] - left[0]) * (x & 255) + 128) >> 8);
#endif
}

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

/* sum + the products of n columns, n a multiple of 4.  x: 4-byte aligned; w: two int16 weights in a word. */
static int32_t hmdc_dot(const int16_t *x, const uint32_t *w, int32_t n, int32_t sum)
{
#if HMDC_ASM
    __asm__ volatile(
        "b 1f\n"
        "0: ldmia %0!, {r4, r5}\n" /* 4 columns, up to 3 times */
        "ldmia %1!, {r9, r10}\n"
        "smlad %3, r4, r9, %3\n"
        "smlad %3, r5, r10, %3\n"
        "sub %2, %2, #4\n"
        "1: tst %2, #12\n"
        "bne 0b\n"
        "cmp %2, #0\n"
        "beq 3f\n"
        "2: ldmia %0!, {r4-r6, r8}\n" /* 16 columns by 14 instructions */
        "ldmia %1!, {r9, r10, r12, lr}\n"
        "smlad %3, r4, r9, %3\n"
        "smlad %3, r5, r10, %3\n"
        "smlad %3, r6, r12, %3\n"
        "smlad %3, r8, lr, %3\n"
        "ldmia %0!, {r4-r6, r8}\n"
        "ldmia %1!, {r9, r10, r12, lr}\n"
        "smlad %3, r4, r9, %3\n"
        "smlad %3, r5, r10, %3\n"
        "smlad %3, r6, r12, %3\n"
        "smlad %3, r8, lr, %3\n"
        "subs %2, %2, #16\n"
        "bne 2b\n"
        "3:\n"
        : "+r"(x), "+r"(w), "+r"(n), "+r"(sum)
        :
        : "r4", "r5", "r6", "r8", "r9", "r10", "r12", "lr", "cc", "memory");
#else
    for (int32_t i = 0; i < n; i++) {
        const uint32_t half = i & 1 ? w[i / 2] >> 16 : w[i / 2] & 0xffff;
        sum += ((int32_t)half - (half >> 15 ? 65536 : 0)) * x[i];
    }
#endif
    return sum;
}

/* y[r] = sat16(requant(bias[r] + b[r] t1 + d[r] t2)), 4 rows at a time, until y is end; t: t1 and t2 in a word.
 * A group of the stream: the bytes b[0], b[1], d[0], d[1], those of the other two rows, 4 biases. */
static void hmdc_rank1_groups(const int32_t *stream, uint32_t t, int32_t mult, int16_t *y, const int16_t *end)
{
#if HMDC_ASM
    __asm__ volatile(
        "0: ldmia %0!, {r4-r6, r8-r10}\n"
        "sxtb16 r12, r4\n"
        "sxtb16 r4, r4, ror #8\n"
        "smlad r6, r12, %2, r6\n"
        "smlad r8, r4, %2, r8\n"
        "sxtb16 r12, r5\n"
        "sxtb16 r5, r5, ror #8\n"
        "smlad r9, r12, %2, r9\n"
        "smlad r10, r5, %2, r10\n"
        "smmulr r6, r6, %3\n"
        "smmulr r8, r8, %3\n"
        "smmulr r9, r9, %3\n"
        "smmulr r10, r10, %3\n"
        "ssat r6, #16, r6\n"
        "ssat r8, #16, r8\n"
        "ssat r9, #16, r9\n"
        "ssat r10, #16, r10\n"
        "pkhbt r6, r6, r8, lsl #16\n"
        "pkhbt r9, r9, r10, lsl #16\n"
        "str r6, [%1], #4\n" /* y may have the alignment of int16 */
        "str r9, [%1], #4\n"
        "cmp %1, %4\n"
        "bne 0b\n"
        : "+r"(stream), "+r"(y)
        : "r"(t), "r"(mult), "r"(end)
        : "r4", "r5", "r6", "r8", "r9", "r10", "r12", "cc", "memory");
#else
    const int32_t t1 = (int32_t)(t & 0xffff) - (t >> 15 & 1 ? 65536 : 0);
    const int32_t t2 = (int32_t)(t >> 16) - (t >> 31 ? 65536 : 0);
    for (; y != end; stream += 6) {
        for (int32_t i = 0; i < 4; i++, y++) {
            const uint32_t pair = (uint32_t)stream[i / 2] >> (i % 2 * 8);
            const int32_t b = (int32_t)((pair + 128) & 255) - 128, d = (int32_t)(((pair >> 16) + 128) & 255) - 128;
            *y = (int16_t)hmdc_sat16(hmdc_mulr(stream[2 + i] + b * t1 + d * t2, mult));
        }
    }
#endif
}

#if HMDC_ASM
/* Copies the given number of bytes, a multiple of 4, from the lowest address on; neither end need be aligned. */
static inline void hmdc_copy_words(const void *from, void *to, int32_t bytes)
{
    __asm__ volatile(
        "b 1f\n"
        "0: ldr r4, [%0], #4\n"
        "str r4, [%1], #4\n"
        "sub %2, %2, #4\n"
        "1: tst %2, #12\n"
        "bne 0b\n"
        "lsrs %2, %2, #4\n"
        "beq 3f\n"
        "2: ldr r4, [%0], #4\n" /* 16 bytes by 10 instructions */
        "ldr r5, [%0], #4\n"
        "ldr r6, [%0], #4\n"
        "ldr r8, [%0], #4\n"
        "str r4, [%1], #4\n"
        "str r5, [%1], #4\n"
        "str r6, [%1], #4\n"
        "str r8, [%1], #4\n"
        "subs %2, %2, #1\n"
        "bne 2b\n"
        "3:\n"
        : "+r"(from), "+r"(to), "+r"(bytes)
        :
        : "r4", "r5", "r6", "r8", "cc", "memory");
}
#endif

#if HMDC_ASM
#define HMDC_SPARSE_4(gaps, weights) \
    "uxtab r6, r6, " gaps "\n" \
    "ldrsb r11, [r6]\n" \
    "sxtb16 lr, " weights "\n" \
    "uxtab r6, r6, " gaps ", ror #8\n" \
    "smlabb r5, r11, lr, r5\n" \
    "ldrsb r11, [r6]\n" \
    "sxtb16 " weights ", " weights ", ror #8\n" \
    "uxtab r6, r6, " gaps ", ror #16\n" \
    "smlabb r5, r11, " weights ", r5\n" \
    "ldrsb r11, [r6]\n" \
    "uxtab r6, r6, " gaps ", ror #24\n" \
    "smlabt r5, r11, lr, r5\n" \
    "ldrsb r11, [r6]\n" \
    "smlabt r5, r11, " weights ", r5\n"
#endif

/* The sums of rows, until sum is end; returns where the next row starts.  A row of the stream: the number of its groups,
 * at least 1; its bias; groups of 4 kept entries, as bytes of a word the distances from one kept column to the next, the
 * first from x, and then the 4 weights. */
static const int32_t *hmdc_sparse_rows(const int32_t *stream, const int8_t *x, int32_t *sum, const int32_t *end)
{
#if HMDC_ASM
    __asm__ volatile(
        "0: ldmia %0!, {r4, r5}\n" /* a row: r4 groups, r5 sum, r6 place in x */
        "mov r6, %2\n"
        "lsrs r4, r4, #1\n"
        "bcc 1f\n"
        "ldmia %0!, {r8, r9}\n" HMDC_SPARSE_4("r8", "r9") /* an odd group first */
        "cmp r4, #0\n"
        "beq 2f\n"
        "1: ldmia %0!, {r8-r10, r12}\n" /* 8 entries by 31 instructions */
        HMDC_SPARSE_4("r8", "r9") HMDC_SPARSE_4("r10", "r12")
        "subs r4, r4, #1\n"
        "bne 1b\n"
        "2: str r5, [%1], #4\n"
        "cmp %1, %3\n"
        "bne 0b\n"
        : "+r"(stream), "+r"(sum)
        : "r"(x), "r"(end)
        : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
#else
    for (; sum != end; sum++) {
        const int8_t *at = x;
        int32_t groups = *stream++;
        *sum = *stream++;
        for (; groups > 0; groups--, stream += 2) {
            for (int32_t i = 0; i < 32; i += 8) {
                at += (uint32_t)stream[0] >> i & 255;
                *sum += ((int32_t)((((uint32_t)stream[1] >> i) + 128) & 255) - 128) * *at;
            }
        }
    }
#endif
    return stream;
}

/* Adds the products of a row of tiles, 4 rows x 4 columns each, to the sums of its rows.  A weight is as in hmdc_pairs;
 * an offset is 4 times the first column, which is a multiple of 4, and 1 more for the last tile of the row. */
static inline void hmdc_tiles_dot(const uint32_t **weights, const uint16_t **offsets, const int16_t *x, int32_t sum[4])
{
#if HMDC_ASM
    const uint32_t *w = *weights;
    const uint16_t *o = *offsets;
    int32_t low0 = sum[0], both0 = sum[0], low2 = sum[2], both2 = sum[2];
    __asm__ volatile(
        "0: ldrh r4, [%1], #2\n" /* 16 products by 18 instructions */
        "lsrs r4, r4, #1\n"
        "add r4, %6, r4\n"
        "ldmia r4, {r5, r6}\n"
        "ldmia %0!, {r4, r8, r9, r10}\n"
        "smlad %3, r4, r5, %3\n"
        "sxtb16 r4, r4\n"
        "smlad %2, r4, r5, %2\n"
        "smlad %3, r8, r6, %3\n"
        "sxtb16 r8, r8\n"
        "smlad %2, r8, r6, %2\n"
        "smlad %5, r9, r5, %5\n"
        "sxtb16 r9, r9\n"
        "smlad %4, r9, r5, %4\n"
        "smlad %5, r10, r6, %5\n"
        "sxtb16 r10, r10\n"
        "smlad %4, r10, r6, %4\n"
        "bcc 0b\n"
        "sub %3, %3, %2\n"
        "asr %3, %3, #8\n"
        "sub %5, %5, %4\n"
        "asr %5, %5, #8\n"
        : "+r"(w), "+r"(o), "+r"(low0), "+r"(both0), "+r"(low2), "+r"(both2)
        : "r"(x)
        : "r4", "r5", "r6", "r8", "r9", "r10", "cc", "memory");
    *weights = w;
    *offsets = o;
    sum[0] = low0;
    sum[1] += both0;
    sum[2] = low2;
    sum[3] += both2;
#else
    int32_t last = 0;
    while (!last) {
        const int16_t *v = x + **offsets / 4;
        last = *(*offsets)++ & 1;
        for (int32_t i = 0; i < 8; i++) {
            const uint32_t half = i & 1 ? (*weights)[i / 2] >> 16 : (*weights)[i / 2] & 0xffff;
            const int32_t both = (int32_t)half - (half >> 15 ? 65536 : 0);
            const int32_t w0 = ((both + 128) & 255) - 128, row = i / 4 * 2;
            sum[row] += w0 * v[i & 3];
            sum[row + 1] += (both - w0) / 256 * v[i & 3];
        }
        *weights += 4;
    }
#endif
}

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
