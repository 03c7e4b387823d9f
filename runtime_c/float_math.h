/* Scalar functions of float32 mode.  numpy: hmdc/functions.py.  Layout: see hmdc_math.h. */
#ifndef HMDC_FLOAT_MATH_H
#define HMDC_FLOAT_MATH_H

#include <math.h>
#include <stdint.h>

static inline float hmdc_clampf(float v, float lo, float hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static inline float hmdc_sigmoidf(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

static inline float hmdc_tanhf(float x)
{
    return tanhf(x);
}

static inline float hmdc_reluf(float x)
{
    return x > 0.0f ? x : 0.0f;
}

static inline float hmdc_sqrtf(float x)
{
    return x > 0.0f ? sqrtf(x) : 0.0f;
}

static inline float hmdc_softsignf(float x)
{
    return x / (1.0f + fabsf(x));
}

static inline float hmdc_softplusf(float x)
{
    return x > 0.0f ? x + log1pf(expf(-x)) : log1pf(expf(x));
}

static inline float hmdc_affinef(float x, float alpha, float beta)
{
    return alpha * x + beta;
}

static inline float hmdc_eluf(float x, float alpha)
{
    return x > 0.0f ? x : alpha * expm1f(x);
}

static inline float hmdc_hardsigmoidf(float x, float alpha, float beta)
{
    return hmdc_clampf(alpha * x + beta, 0.0f, 1.0f);
}

static inline float hmdc_leakyreluf(float x, float alpha)
{
    return x < 0.0f ? alpha * x : x;
}

static inline float hmdc_scaledtanhf(float x, float alpha, float beta)
{
    return alpha * tanhf(beta * x);
}

static inline float hmdc_thresholdedreluf(float x, float alpha)
{
    return x > alpha ? x : 0.0f;
}

static inline float hmdc_absf(float x)
{
    return fabsf(x);
}

static inline float hmdc_cosf(float x)
{
    return cosf(x);
}

static inline float hmdc_erff(float x)
{
    return erff(x);
}

static inline float hmdc_expf(float x)
{
    return expf(x < 80.0f ? x : 80.0f);
}

static inline float hmdc_geluf(float x)
{
    return 0.5f * x * (1.0f + erff(x * 0.70710678f));
}

static inline float hmdc_gelu_tanhf(float x)
{
    return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
}

static inline float hmdc_hardswishf(float x)
{
    return x * hmdc_clampf(x / 6.0f + 0.5f, 0.0f, 1.0f);
}

static inline float hmdc_logf(float x)
{
    return logf(x > 1e-30f ? x : 1e-30f);
}

static inline float hmdc_sinf(float x)
{
    return sinf(x);
}

static inline float hmdc_mishf(float x)
{
    return x * tanhf(hmdc_softplusf(x));
}

static inline float hmdc_celuf(float x, float alpha)
{
    return x > 0.0f ? x : alpha * expm1f(x / alpha);
}

static inline float hmdc_seluf(float x, float alpha, float gamma)
{
    return gamma * (x > 0.0f ? x : alpha * expm1f(x));
}

static inline float hmdc_swishf(float x, float alpha)
{
    return x / (1.0f + expf(-alpha * x));
}

#endif
