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
/* y[0..3] = x[0..3] of int8.  y: 4-byte aligned */
static inline void hmdc_widen4(const void *x, int16_t *y)
{
    uint32_t even, odd, low, high;
    __asm__ volatile(
        "ldr %[low], [%[x]]\n"
        "sxtb16 %[even], %[low]\n"
        "sxtb16 %[odd], %[low], ror #8\n"
        "pkhbt %[low], %[even], %[odd], lsl #16\n"
        "pkhtb %[high], %[odd], %[even], asr #16\n"
        "strd %[low], %[high], [%[y]]\n"
        : [even] "=&r"(even), [odd] "=&r"(odd), [low] "=&r"(low), [high] "=&r"(high)
        : [x] "r"(x), [y] "r"(y)
        : "memory");
}
#endif

#endif
