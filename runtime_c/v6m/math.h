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
/* r0: weights, r6: 0x00ff00ff, r7: operand, r8-r11: sums */
#define HMDC_PRODUCTS_QUAD_ROW(sum) \
    "ldmia r0!, {r1}\n" \
    "lsrs r2, r1, #8\n" \
    "ands r2, r6\n" \
    "muls r1, r3, r1\n" \
    "muls r2, r5, r2\n" \
    "adds r1, r1, r4\n" \
    "adds r1, r1, r2\n" \
    "asrs r1, r1, #16\n" \
    "add " sum ", r1\n"
/* 16 products by 37 instructions. */
#define HMDC_PRODUCTS_QUAD \
    "ldmia r7!, {r3-r5}\n" \
    HMDC_PRODUCTS_QUAD_ROW("r8") \
    HMDC_PRODUCTS_QUAD_ROW("r9") \
    HMDC_PRODUCTS_QUAD_ROW("r10") \
    HMDC_PRODUCTS_QUAD_ROW("r11")
/* What was cut off is in r1, the place of its weights in r2. */
#define HMDC_PRODUCTS_CUT_ROW(place, sum) \
    "ldrb r3, [r2, #" place "]\n" \
    "muls r3, r1, r3\n" \
    "add " sum ", r3\n"
/* The words of two pairs are in r3-r5 and r12. */
#define HMDC_PRODUCTS_PAIRS_ROW(sum) \
    "ldmia r0!, {r1}\n" \
    "lsrs r2, r1, #8\n" \
    "ands r2, r6\n" \
    "ands r1, r6\n" \
    "muls r1, r3, r1\n" \
    "muls r2, r5, r2\n" \
    "adds r1, r1, r4\n" \
    "add r2, r12\n" \
    "asrs r1, r1, #16\n" \
    "asrs r2, r2, #16\n" \
    "add " sum ", r1\n" \
    "add " sum ", r2\n"
/* r4 = mulr(r1, mult) as in hmdc_mulr.  r5: mult (low, high: its halves), r12: 2^15; changes r1-r3, r6. */
#define HMDC_PRODUCTS_MULTIPLY(low, high) \
    "ldrh r2, [r5, #" low "]\n" \
    "ldrh r3, [r5, #" high "]\n" \
    "asrs r4, r1, #16\n" \
    "uxth r1, r1\n" \
    "mov r6, r2\n" \
    "muls r6, r1, r6\n" \
    "lsrs r6, r6, #16\n" \
    "muls r2, r4, r2\n" \
    "adds r2, r2, r6\n" \
    "add r2, r12\n" \
    "muls r1, r3, r1\n" \
    "uxth r6, r2\n" \
    "adds r1, r1, r6\n" \
    "lsrs r1, r1, #16\n" \
    "muls r4, r3, r4\n" \
    "asrs r2, r2, #16\n" \
    "adds r4, r4, r2\n" \
    "adds r4, r4, r1\n"
/* From the first operand to the last.  r7: shift */
#define HMDC_PRODUCTS_GO_ON(sum, low, high) \
    "mov r1, " sum "\n" \
    "lsls r1, r7\n" \
    HMDC_PRODUCTS_MULTIPLY(low, high) \
    "mov " sum ", r4\n"
/* r7: y */
#define HMDC_PRODUCTS_GATE(sum, low, high, at) \
    "mov r1, " sum "\n" \
    HMDC_PRODUCTS_MULTIPLY(low, high) \
    "sxth r1, r4\n" \
    "cmp r1, r4\n" \
    "beq 9f\n" \
    "asrs r4, r4, #31\n" \
    "mov r1, r12\n" \
    "subs r1, #1\n" \
    "eors r4, r1\n" \
    "9: strh r4, [r7, #" at "]\n"
#endif

/* The groups from p->y to p->y_end.  p->weights, p->start, p->mult and p->y move on. */
#if HMDC_ASM
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings" /* the whole function is one */
__attribute__((naked, noinline)) static void hmdc_products_groups(__attribute__((unused)) struct hmdc_products *p)
{
    /* on the stack: p, the operand at hand, r8-r11; branches to a condition reach 256 bytes */
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n"
        "mov r5, r9\n"
        "mov r6, r10\n"
        "mov r7, r11\n"
        "push {r0, r1, r4-r7}\n"
        "mov r1, r0\n"
        "ldr r0, [r1, #16]\n"
        "0: ldr r2, [r1, #20]\n"
        "ldmia r2!, {r4-r7}\n"
        "str r2, [r1, #20]\n"
        "mov r8, r4\n"
        "mov r9, r5\n"
        "mov r10, r6\n"
        "mov r11, r7\n"
        "ldr r1, [r1]\n"
        "12: str r1, [sp, #4]\n"
        "ldmia r1!, {r2, r3, r7}\n"
        "mov r12, r3\n"
        "mov lr, r7\n"
        "mov r7, r2\n"
        "movs r6, #0xff\n"
        "lsls r2, r6, #16\n"
        "orrs r6, r2\n"
        "b 2f\n"
        "1:\n" HMDC_PRODUCTS_QUAD HMDC_PRODUCTS_QUAD HMDC_PRODUCTS_QUAD HMDC_PRODUCTS_QUAD
        "2: cmp r7, r12\n"
        "beq 3f\n"
        "b 1b\n"
        "3: b 5f\n"
        "4:\n" HMDC_PRODUCTS_QUAD
        "5: cmp r7, lr\n"
        "bne 4b\n"
        "ldr r3, [sp, #4]\n"
        "ldr r2, [r3, #12]\n"
        "cmp r7, r2\n"
        "beq 6f\n"
        "b 20f\n"
        "6: movs r2, #0x80\n"
        "lsls r2, r2, #8\n"
        "mov r12, r2\n"
        "ldr r1, [sp]\n"
        "ldr r5, [r1, #24]\n"
        "ldr r2, [sp, #4]\n"
        "ldr r3, [r1, #4]\n"
        "cmp r2, r3\n"
        "beq 11f\n"
        "b 30f\n"
        "11: ldr r7, [r1, #8]\n"
        "cmp r5, #0\n"
        "bne 7f\n"
        "mov r2, r8\n"
        "mov r3, r9\n"
        "mov r4, r10\n"
        "mov r5, r11\n"
        "stmia r7!, {r2-r5}\n"
        "b 8f\n"
        "7:\n"
        HMDC_PRODUCTS_GATE("r8", "0", "2", "0")
        HMDC_PRODUCTS_GATE("r9", "4", "6", "2")
        HMDC_PRODUCTS_GATE("r10", "8", "10", "4")
        HMDC_PRODUCTS_GATE("r11", "12", "14", "6")
        "ldr r1, [sp]\n"
        "adds r5, #16\n"
        "str r5, [r1, #24]\n"
        "adds r7, #8\n"
        "8: str r7, [r1, #8]\n"
        "ldr r2, [r1, #12]\n"
        "cmp r7, r2\n"
        "beq 10f\n"
        "b 0b\n"
        "10: str r0, [r1, #16]\n"
        "pop {r0, r1, r4-r7}\n"
        "mov r8, r4\n"
        "mov r9, r5\n"
        "mov r10, r6\n"
        "mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        /* from the first operand to the last */
        "30: ldr r7, [r1, #28]\n"
        HMDC_PRODUCTS_GO_ON("r8", "0", "2")
        HMDC_PRODUCTS_GO_ON("r9", "4", "6")
        HMDC_PRODUCTS_GO_ON("r10", "8", "10")
        HMDC_PRODUCTS_GO_ON("r11", "12", "14")
        "ldr r1, [sp]\n"
        "adds r5, #16\n"
        "str r5, [r1, #24]\n"
        "ldr r1, [r1, #4]\n"
        "b 12b\n"
        /* no quads: pairs; else the list */
        "20: mov lr, r2\n"
        "ldr r3, [r3]\n"
        "cmp r7, r3\n"
        "beq 22f\n"
        "ldmia r7!, {r3}\n"
        "negs r3, r3\n"
        "add r8, r3\n"
        "add r9, r3\n"
        "add r10, r3\n"
        "add r11, r3\n"
        "21: ldmia r7!, {r1}\n"
        "asrs r2, r1, #16\n"
        "adds r2, r2, r0\n"
        "sxth r1, r1\n"
        HMDC_PRODUCTS_CUT_ROW("0", "r8")
        HMDC_PRODUCTS_CUT_ROW("4", "r9")
        HMDC_PRODUCTS_CUT_ROW("8", "r10")
        HMDC_PRODUCTS_CUT_ROW("12", "r11")
        "cmp r7, lr\n"
        "bne 21b\n"
        "b 6b\n"
        "22: ldmia r7!, {r3-r5}\n"
        "ldmia r7!, {r1}\n"
        "mov r12, r1\n"
        HMDC_PRODUCTS_PAIRS_ROW("r8")
        HMDC_PRODUCTS_PAIRS_ROW("r9")
        HMDC_PRODUCTS_PAIRS_ROW("r10")
        HMDC_PRODUCTS_PAIRS_ROW("r11")
        "cmp r7, lr\n"
        "bne 22b\n"
        "b 6b\n");
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
