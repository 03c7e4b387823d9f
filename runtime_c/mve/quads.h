/* Products of quads of rows.  See math.h. */
#ifndef HMDC_MVE_QUADS_H
#define HMDC_MVE_QUADS_H

#include "math.h"

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

#endif
