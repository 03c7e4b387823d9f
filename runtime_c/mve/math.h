/* Helpers for cores with Helium (MVE).  HMDC_ASM is 1 where its instructions can be used; the C beside them gives the
 * same bits. */
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
        : [sum] "+Te"(sum), [w] "+r"(w), [x] "+r"(x)
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
    const int8_t *weights;    /* r1 */
    int32_t pairs;            /* r3: pairs of blocks that are loaded again for every quad; they come first */
    int32_t ragged;           /* r5: columns of the last block, 0 = whole */
    int32_t held;             /* r7: blocks between those and the last, 0..4 */
    const void *x;            /* r8 */
    int32_t last;             /* r9: columns of the last block */
    void *y, *y_end;          /* r10, r11: 4 results a quad */
    const int32_t *constants; /* r12: 4 values that the sums of a quad start from; for gates then 4 multipliers */
};

/* block: columns of a vector of x */
static inline struct hmdc_quads hmdc_quads_of(const int8_t *weights, const void *x, int32_t columns, int32_t block)
{
    const int32_t before = (columns - 1) / block, pairs = before > 4 ? (before - 3) / 2 : 0;
    const int32_t last = columns - before * block;
    const struct hmdc_quads q = {
        weights, pairs, last < block ? last : 0, before - 2 * pairs, x, last, 0, 0, 0,
    };
    return q;
}

/* The sums of one quad, in C.  wide: x is int16 */
static inline void hmdc_quads_sums(struct hmdc_quads *q, int32_t sum[4], int wide)
{
    const int8_t *x8 = q->x;
    const int16_t *x16 = q->x;
    const int32_t block = wide ? 8 : 16, columns = (2 * q->pairs + q->held) * block + q->last;
    for (int32_t i = 0; i < 4; i++)
        sum[i] = *q->constants++;
    for (int32_t from = 0; from < columns; from += block) {
        const int32_t to = from + block < columns ? from + block : columns;
        for (int32_t i = 0; i < 4; i++) {
            for (int32_t j = from; j < to; j++)
                sum[i] += *q->weights++ * (wide ? x16[j] : x8[j]);
        }
    }
}

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
/* struct hmdc_quads in r1-r12; the held blocks of x in q7, q6, ... q4 (as many as there are), the last in q3. */
#define HMDC_QUADS_ENTER(load, vctp) \
    "push {r4-r11, lr}\n" \
    "vpush {d8-d15}\n" \
    "ldm r0, {r1, r3, r5, r7-r12}\n" \
    vctp " r9\n" \
    "add r9, r8, r3, lsl #5\n" \
    "tbb [pc, r7]\n" \
    "10: .byte (15f - 10b) / 2, (14f - 10b) / 2, (13f - 10b) / 2, (12f - 10b) / 2, (11f - 10b) / 2, 0\n" \
    "11: " load ".u%c0 q7, [r9], #16\n"
#endif

#endif
