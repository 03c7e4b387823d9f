/* The integer semantics of hmdc, defined once.  numpy: hmdc/intmath.py.  Prose: SEMANTICS.md.
 *
 * Nothing overflows int32: hmdc proves the bounds of all arguments.  >> is arithmetic.
 *
 * hmdc/runtime.py pastes the helpers that a model uses into its C file.  It needs this layout: helpers are
 * separated by blank lines and contain none, their first line of code starts with `static inline`, and they
 * use only helpers above.
 */
#ifndef HMDC_MATH_H
#define HMDC_MATH_H

#include <stdint.h>

static inline int32_t hmdc_clamp(int32_t v, int32_t lo, int32_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* (a * b + 2^31) >> 32 */
static inline int32_t hmdc_mulr(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + 0x80000000) >> 32);
}

/* sum + ((a * b + 2^31) >> 32) */
static inline int32_t hmdc_add_mulr(int32_t sum, int32_t a, int32_t b)
{
    return sum + hmdc_mulr(a, b);
}

/* acc * mult * 2^(shift - 32), halves rounded up; 0 <= mult < 2^31. */
static inline int32_t hmdc_requant(int32_t acc, int32_t mult, int32_t shift)
{
    return hmdc_mulr(acc * (1 << shift), mult);
}

static inline int32_t hmdc_sat16(int32_t v)
{
    return v < -32768 ? -32768 : v > 32767 ? 32767 : v;
}

static inline int32_t hmdc_sat8(int32_t v)
{
    return v < -128 ? -128 : v > 127 ? 127 : v;
}

/* v clamped for an element of `bytes` bytes.  Bounds that are those of its type are left to hmdc_sat8 and hmdc_sat16,
 * one instruction on some cores; where lo and hi stay the same, the question is answered in front of the loop. */
static inline int32_t hmdc_bound(int32_t v, int32_t lo, int32_t hi, uint32_t bytes)
{
    if (bytes == 1 && lo == INT8_MIN && hi == INT8_MAX)
        return hmdc_sat8(v);
    if (bytes == 2 && lo == INT16_MIN && hi == INT16_MAX)
        return hmdc_sat16(v);
    return hmdc_clamp(v, lo, hi);
}

/* v * 2^-15, halves rounded up. */
static inline int32_t hmdc_shift_round15(int32_t v)
{
    return (v + (1 << 14)) >> 15;
}

static inline uint32_t hmdc_mulhi(uint32_t a, uint32_t b)
{
    return (uint32_t)(((uint64_t)a * b) >> 32);
}

/* 1 / sqrt(v) = root * 2^(increase of shift - 62) within 2^-24 of itself; 0 < v < 2^63, root < 2^31. */
static inline uint32_t hmdc_rsqrt(uint64_t v, int32_t *shift)
{
    for (; v >> 62 == 0; v *= 4) {
        ++*shift;
    }
    const uint32_t top = (uint32_t)(v >> 32);
    uint32_t root = 2290000000u - hmdc_mulhi(top, 1308600000u);
    for (int32_t i = 0; i < 3; i++) {
        const uint32_t one = hmdc_mulhi(hmdc_mulhi(root, root), top);
        root = (uint32_t)((uint64_t)root * (0x30000000u - one) >> 29);
    }
    return root;
}

/* middle: knot of x = 0 among knots 256 apart; x: -32768..32767. */
static inline int32_t hmdc_interpolate(const int16_t *middle, int32_t x)
{
    const int16_t *left = middle + (x >> 8);
    return left[0] + (((left[1] - left[0]) * (x & 255) + 128) >> 8);
}

#endif
