/* Conversions between real numbers and the integers of bilstm_steps.h, for cores where float is welcome. */
#ifndef BILSTM_STEPS_FLOAT_H
#define BILSTM_STEPS_FLOAT_H

#include "bilstm_steps.h"

static inline int32_t bilstm_steps_to_integer(float v, float scale, int32_t zero, int32_t lo, int32_t hi)
{
    float scaled = v / scale + (float)zero + 0.5f;
    if (!(scaled > (float)lo))  /* NaN too */
        return lo;
    if (scaled >= (float)hi)
        return hi;
    int32_t floor = (int32_t)scaled;
    return (float)floor > scaled ? floor - 1 : floor;
}

static inline int8_t bilstm_steps_quantize_x(float v)
{
    return (int8_t)bilstm_steps_to_integer(v, BILSTM_STEPS_INPUT_SCALE, BILSTM_STEPS_INPUT_ZERO_POINT, -128, 127);
}

static inline float bilstm_steps_dequantize_y(int8_t q)
{
    return (float)((int32_t)q - BILSTM_STEPS_OUTPUT_ZERO_POINT) * BILSTM_STEPS_OUTPUT_SCALE;
}

#endif
