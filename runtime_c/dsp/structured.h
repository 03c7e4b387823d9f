/* Products of rank-1 and of sparse matrices.  See math.h. */
#ifndef HMDC_DSP_STRUCTURED_H
#define HMDC_DSP_STRUCTURED_H

#include "math.h"

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

#endif
