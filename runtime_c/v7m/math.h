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

/* Cross multiplication of int8.  A quad is 4 columns, a group 4 rows.  A word of weights is a quad of one row, its
 * bytes w0 + 128, w2 + 128, w1 + 128, w3 + 128 with |w| <= 127; modulo 2^32
 *
 *   (w0 + 2^16 w1) (x1 + 2^16 x0) = w0 x1 + 2^16 (w0 x0 + w1 x1)
 *
 * and likewise for columns 2 and 3.  A constant of x takes the 128 away and makes the lower half nonnegative: the upper
 * half is then the sum over the quad, exact while |x0| + |x1| + |x2| + |x3| <= 258 (127 * 258 < 2^15).
 *
 * The operand of `columns` values of x is 1 + 4 quads words.  The first is the length n of the list or -1.
 *   n >= 0: three words for each quad: x1 + 2^16 x0; the constant; x3 + 2^16 x2 - 2^8 (x1 + 2^16 x0), as the odd bytes
 *           stay in the word that meets the first.  Quads beyond 258 are cut down to it.  Then, if n > 0, the list:
 *           128 times the sum of all that was cut off, and n times what was cut off, in the lower half, and where its
 *           weights begin, in the upper half, in bytes from the end of a group.
 *   -1:     (n would exceed 3/4 of the quads) four words for each quad: x1 + 2^16 x0, its constant, x3 + 2^16 x2, its
 *           constant. */
static inline void hmdc_operand_quad(int32_t x0, int32_t x1, int32_t x2, int32_t x3, int32_t *y)
{
    const uint32_t first = (uint32_t)x1 + ((uint32_t)x0 << 16), second = (uint32_t)x3 + ((uint32_t)x2 << 16);
    y[0] = (int32_t)first;
    y[1] = (int32_t)((uint32_t)(0x8000 - 128 * (x1 + x3)) - ((uint32_t)(x0 + x1 + x2 + x3) << 23));
    y[2] = (int32_t)(second - (first << 8));
}

/* Values from x, `step` apart; those beyond `left` are 0. */
static inline void hmdc_operand_load(const int8_t *x, int32_t left, int32_t step, int32_t v[4])
{
    v[0] = x[0];
    if (left >= 4) {
        v[1] = x[step];
        v[2] = x[2 * step];
        v[3] = x[3 * step];
    } else {
        v[1] = left > 1 ? x[step] : 0;
        v[2] = left > 2 ? x[2 * step] : 0;
        v[3] = 0;
    }
}

static void hmdc_operand_pairs(const int8_t *x, int32_t columns, int32_t step, int32_t *y)
{
    *y++ = -1;
    for (int32_t i = 0; i < columns; i += 4) {
        int32_t v[4];
        hmdc_operand_load(x, columns - i, step, v);
        for (int32_t j = 0; j < 4; j += 2) {
            y[0] = (int32_t)((uint32_t)v[j + 1] + ((uint32_t)v[j] << 16));
            y[1] = (int32_t)((uint32_t)(0x8000 - 128 * v[j + 1]) - ((uint32_t)(v[j] + v[j + 1]) << 23));
            y += 2;
        }
        x += 4 * step;
    }
}

/* Cuts the largest |v| such that all four add up to 258, but not below 0.  Returns the column, *off = what was cut. */
static inline int32_t hmdc_operand_cut(int32_t v[4], int32_t excess, int32_t *off)
{
    int32_t column = 0, most = -1;
    for (int32_t j = 0; j < 4; j++) {
        const int32_t size = v[j] < 0 ? -v[j] : v[j];
        if (size > most) {
            most = size;
            column = j;
        }
    }
    excess = excess < most ? excess : most;
    *off = v[column] < 0 ? -excess : excess;
    v[column] -= *off;
    return column;
}

/* |x0| + |x1| + |x2| + |x3| */
static inline int32_t hmdc_operand_size(int32_t x0, int32_t x1, int32_t x2, int32_t x3)
{
    return (x0 < 0 ? -x0 : x0) + (x1 < 0 ? -x1 : x1) + (x2 < 0 ? -x2 : x2) + (x3 < 0 ? -x3 : x3);
}

/* Cuts v down to 258.  head: of the list; *n: its length, which grows; place: of the quad's weights.  0: beyond `most` */
static inline int hmdc_operand_list(int32_t v[4], int32_t place, int32_t *head, int32_t *n, int32_t most)
{
    int32_t excess;
    if (*n == 0 && most > 0)
        *head = 0;
    while ((excess = hmdc_operand_size(v[0], v[1], v[2], v[3]) - 258) > 0) {
        int32_t off;
        if (++*n > most)
            return 0;
        const int32_t column = hmdc_operand_cut(v, excess, &off), byte = column == 1 ? 2 : column == 2 ? 1 : column;
        *head += 128 * off;
        head[*n] = (int32_t)((uint32_t)(place + byte) << 16 | (uint16_t)off);
    }
    return 1;
}

/* From `columns` values of x, `step` apart. */
static inline void hmdc_operand(const int8_t *x, int32_t columns, int32_t step, int32_t *y)
{
    const int32_t quads = (columns + 3) / 4;
    const int8_t *at = x;
    int32_t *quad = y + 1, *const head = quad + 3 * quads;
    int32_t n = 0;
    for (int32_t left = columns; left > 0; left -= 4) {
        int32_t v[4];
        hmdc_operand_load(at, left, step, v);
        if (hmdc_operand_size(v[0], v[1], v[2], v[3]) > 258) {
            int32_t less[4] = {v[0], v[1], v[2], v[3]}; /* leaves v in registers */
            if (!hmdc_operand_list(less, -4 * ((left + 3) & ~3), head, &n, 3 * quads / 4)) {
                hmdc_operand_pairs(x, columns, step, y);
                return;
            }
            for (int32_t j = 0; j < 4; j++)
                v[j] = less[j];
        }
        hmdc_operand_quad(v[0], v[1], v[2], v[3], quad);
        quad += 3;
        at += 4 * step;
    }
    *y = n;
}

/* Where the quads of an operand begin and end. */
struct hmdc_quads {
    const int32_t *x, *x16, *x_end; /* x16: end of those that are taken 4 at a time */
    const int32_t *end;             /* of the list behind them; no quads: of the pairs from x on */
};

/* x: operand */
static inline struct hmdc_quads hmdc_quads_of(const int32_t *x, int32_t columns)
{
    const int32_t n = *x++, quads = (columns + 3) / 4, all = n < 0 ? 0 : quads;
    const int32_t *end = x + 3 * all;
    const struct hmdc_quads q = {x, x + 3 * (all & ~3), end, end + (n < 0 ? 4 * quads : n > 0 ? 1 + n : 0)};
    return q;
}

/* One operand or two: first == last, or two that lie side by side.  The sums of the last go on from those of the first,
 * (sums << shift) * mult. */
struct hmdc_products {
    const struct hmdc_quads *first, *last;
    void *y, *y_end;         /* 4 results a group */
    const uint32_t *weights; /* of a group: those of the first operand, then those of the last */
    const int32_t *start;    /* 4 a group: where the sums start */
    const int32_t *mult;     /* 4 a group for each operand; null: y = sums, int32; else y = sat16(sums * mult), int16 */
    int32_t shift;
};

#if !HMDC_ASM
/* One quad of one row, in C.  x: three words */
static inline int32_t hmdc_products_quad(uint32_t w, const int32_t *x)
{
    return (int32_t)(w * (uint32_t)x[0] + (w >> 8 & 0x00ff00ff) * (uint32_t)x[2] + (uint32_t)x[1]) >> 16;
}
#endif

#if !HMDC_ASM
/* One quad of one row, one pair after the other, in C.  x: four words */
static inline int32_t hmdc_products_pairs(uint32_t w, const int32_t *x)
{
    const uint32_t first = (w & 0x00ff00ff) * (uint32_t)x[0] + (uint32_t)x[1];
    const uint32_t second = (w >> 8 & 0x00ff00ff) * (uint32_t)x[2] + (uint32_t)x[3];
    return ((int32_t)first >> 16) + ((int32_t)second >> 16);
}
#endif

#if !HMDC_ASM
/* The sums of one group and one operand, in C. */
static inline void hmdc_products_group(struct hmdc_products *p, const struct hmdc_quads *q, int32_t sum[4])
{
    const int32_t *x = q->x;
    for (; x != q->x_end; x += 3) {
        for (int32_t i = 0; i < 4; i++)
            sum[i] += hmdc_products_quad(*p->weights++, x);
    }
    if (x == q->x) {
        for (; x != q->end; x += 4) {
            for (int32_t i = 0; i < 4; i++)
                sum[i] += hmdc_products_pairs(*p->weights++, x);
        }
    } else if (x != q->end) {
        for (int32_t i = 0; i < 4; i++)
            sum[i] -= *x;
        while (++x != q->end) {
            const int32_t place = *x >> 16;
            const uint32_t *w = p->weights + (place >> 2);
            for (int32_t i = 0; i < 4; i++)
                sum[i] += (int32_t)(w[i] >> 8 * (place & 3) & 255) * (int16_t)*x;
        }
    }
}
#endif

#if HMDC_ASM
/* r10: 0x00ff00ff, r11: weights, r12: operand, r6-r9: sums */
#define HMDC_PRODUCTS_QUAD_ROW(w, sum) \
    "and lr, r10, " w ", lsr #8\n" \
    "mla " w ", " w ", r0, r1\n" \
    "mla " w ", lr, r2, " w "\n" \
    "add " sum ", " sum ", " w ", asr #16\n"
/* 16 products by 19 instructions. */
#define HMDC_PRODUCTS_QUAD \
    "ldmia r12!, {r0-r2}\n" \
    "ldmia r11!, {r4, r5}\n" \
    HMDC_PRODUCTS_QUAD_ROW("r4", "r6") \
    HMDC_PRODUCTS_QUAD_ROW("r5", "r7") \
    "ldmia r11!, {r4, r5}\n" \
    HMDC_PRODUCTS_QUAD_ROW("r4", "r8") \
    HMDC_PRODUCTS_QUAD_ROW("r5", "r9")
/* A quad, one pair after the other: 27 instructions. */
#define HMDC_PRODUCTS_PAIRS_ROW(w, sum) \
    "and lr, r10, " w ", lsr #8\n" \
    "and " w ", " w ", #0x00ff00ff\n" \
    "mla " w ", " w ", r0, r1\n" \
    "mla lr, lr, r2, r3\n" \
    "add " sum ", " sum ", " w ", asr #16\n" \
    "add " sum ", " sum ", lr, asr #16\n"
#define HMDC_PRODUCTS_PAIRS \
    "ldmia r12!, {r0-r3}\n" \
    "ldmia r11!, {r4, r5}\n" \
    HMDC_PRODUCTS_PAIRS_ROW("r4", "r6") \
    HMDC_PRODUCTS_PAIRS_ROW("r5", "r7") \
    "ldmia r11!, {r4, r5}\n" \
    HMDC_PRODUCTS_PAIRS_ROW("r4", "r8") \
    HMDC_PRODUCTS_PAIRS_ROW("r5", "r9")
/* r6-r9 times r0-r3 */
#define HMDC_PRODUCTS_MULTIPLY \
    "smull lr, r6, r6, r0\n" \
    "smull r0, r7, r7, r1\n" \
    "smull r1, r8, r8, r2\n" \
    "smull r2, r9, r9, r3\n" \
    "add r6, r6, lr, lsr #31\n" \
    "add r7, r7, r0, lsr #31\n" \
    "add r8, r8, r1, lsr #31\n" \
    "add r9, r9, r2, lsr #31\n"
#endif

/* The groups from p->y to p->y_end.  p->weights, p->start and p->mult move on. */
#if HMDC_ASM
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings" /* the whole function is one */
__attribute__((naked, noinline)) static void hmdc_products_groups(__attribute__((unused)) struct hmdc_products *p)
{
    /* on the stack: p, first, last, y, y_end, start, mult, shift, the operand at hand */
    __asm__ volatile(
        "push {r4-r11, lr}\n"
        "ldmia r0, {r1-r8}\n"
        "push {r0-r4, r6-r9}\n"
        "mov r11, r5\n"
        "mov r10, #0x00ff00ff\n"
        "0: ldr r12, [sp, #20]\n"
        "ldmia r12!, {r6-r9}\n"
        "str r12, [sp, #20]\n"
        "ldr r5, [sp, #4]\n"
        "10: str r5, [sp, #32]\n"
        "ldrd r12, r3, [r5]\n"
        "cmp r12, r3\n"
        "beq 2f\n"
        "1:\n" HMDC_PRODUCTS_QUAD HMDC_PRODUCTS_QUAD HMDC_PRODUCTS_QUAD HMDC_PRODUCTS_QUAD
        "cmp r12, r3\n"
        "bne 1b\n"
        "ldr r5, [sp, #32]\n"
        "2: ldr r3, [r5, #8]\n"
        "b 4f\n"
        "3:\n" HMDC_PRODUCTS_QUAD
        "4: cmp r12, r3\n"
        "bne 3b\n"
        "ldr r5, [sp, #32]\n"
        "ldr r3, [r5, #12]\n"
        "cmp r12, r3\n"
        "bne 20f\n"
        "5: ldr r4, [sp, #8]\n"
        "ldr r12, [sp, #24]\n"
        "cmp r4, r5\n"
        "bne 30f\n"
        "cmp r12, #0\n"
        "bne 6f\n"
        "ldrd r0, r1, [sp, #12]\n"
        "stmia r0!, {r6-r9}\n"
        "b 7f\n"
        "6: ldmia r12!, {r0-r3}\n"
        "str r12, [sp, #24]\n"
        HMDC_PRODUCTS_MULTIPLY
        "ssat r6, #16, r6\n"
        "ssat r7, #16, r7\n"
        "ssat r8, #16, r8\n"
        "ssat r9, #16, r9\n"
        "ldrd r0, r1, [sp, #12]\n"
        "strh r6, [r0], #2\n"
        "strh r7, [r0], #2\n"
        "strh r8, [r0], #2\n"
        "strh r9, [r0], #2\n"
        "7: str r0, [sp, #12]\n"
        "cmp r0, r1\n"
        "bne 0b\n"
        "pop {r0-r4, r6-r9}\n"
        "str r3, [r0, #8]\n"
        "str r11, [r0, #16]\n"
        "str r6, [r0, #20]\n"
        "str r7, [r0, #24]\n"
        "pop {r4-r11, pc}\n"
        /* from the first operand to the last */
        "30: ldmia r12!, {r0-r3}\n"
        "str r12, [sp, #24]\n"
        "ldr r4, [sp, #28]\n"
        "lsl r6, r6, r4\n"
        "lsl r7, r7, r4\n"
        "lsl r8, r8, r4\n"
        "lsl r9, r9, r4\n"
        HMDC_PRODUCTS_MULTIPLY
        "add r5, r5, #16\n"
        "b 10b\n"
        /* no quads: pairs; else the list */
        "20: ldr r4, [r5]\n"
        "cmp r12, r4\n"
        "beq 22f\n"
        "ldr r0, [r12], #4\n"
        "sub r6, r6, r0\n"
        "sub r7, r7, r0\n"
        "sub r8, r8, r0\n"
        "sub r9, r9, r0\n"
        "21: ldr r0, [r12], #4\n"
        "add r1, r11, r0, asr #16\n"
        "sxth r0, r0\n"
        "ldrb r2, [r1]\n"
        "ldrb r4, [r1, #4]\n"
        "ldrb r5, [r1, #8]\n"
        "ldrb lr, [r1, #12]\n"
        "mla r6, r2, r0, r6\n"
        "mla r7, r4, r0, r7\n"
        "mla r8, r5, r0, r8\n"
        "mla r9, lr, r0, r9\n"
        "cmp r12, r3\n"
        "bne 21b\n"
        "ldr r5, [sp, #32]\n"
        "b 5b\n"
        "22: sub r4, r3, r12\n"
        "lsrs r4, r4, #5\n" /* carry: an odd number of quads, of 16 bytes each */
        "bcs 24f\n"
        "23:\n" HMDC_PRODUCTS_PAIRS
        "24:\n" HMDC_PRODUCTS_PAIRS
        "ldr r5, [sp, #32]\n"
        "ldr r4, [r5, #12]\n"
        "cmp r12, r4\n"
        "bne 23b\n"
        "b 5b\n");
}
#pragma GCC diagnostic pop
#else
static void hmdc_products_groups(struct hmdc_products *p)
{
    while (p->y != p->y_end) {
        int16_t *y16 = p->y;
        int32_t *y32 = p->y, sum[4];
        for (int32_t i = 0; i < 4; i++)
            sum[i] = *p->start++;
        hmdc_products_group(p, p->first, sum);
        if (p->first != p->last) {
            for (int32_t i = 0; i < 4; i++)
                sum[i] = hmdc_mulr(sum[i] * (1 << p->shift), *p->mult++);
            hmdc_products_group(p, p->last, sum);
        }
        for (int32_t i = 0; i < 4; i++) {
            if (p->mult)
                *y16++ = (int16_t)hmdc_sat16(hmdc_mulr(sum[i], *p->mult++));
            else
                *y32++ = sum[i];
        }
        p->y = p->mult ? (void *)y16 : (void *)y32;
    }
}
#endif

#endif
