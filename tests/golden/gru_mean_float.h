/* Conversions between real numbers and the integers of gru_mean.h, for cores where float is welcome. */
#ifndef GRU_MEAN_FLOAT_H
#define GRU_MEAN_FLOAT_H

#include "gru_mean.h"

static inline int32_t gru_mean_to_integer(float v, float scale, int32_t zero, int32_t lo, int32_t hi)
{
    float scaled = v / scale + (float)zero + 0.5f;
    if (!(scaled > (float)lo))  /* NaN too */
        return lo;
    if (scaled >= (float)hi)
        return hi;
    int32_t floor = (int32_t)scaled;
    return (float)floor > scaled ? floor - 1 : floor;
}

static inline int8_t gru_mean_quantize_x(float v)
{
    return (int8_t)gru_mean_to_integer(v, GRU_MEAN_INPUT_SCALE, GRU_MEAN_INPUT_ZERO_POINT, -128, 127);
}

static inline float gru_mean_dequantize_y(int8_t q)
{
    return (float)((int32_t)q - GRU_MEAN_OUTPUT_ZERO_POINT) * GRU_MEAN_OUTPUT_SCALE;
}

#endif
