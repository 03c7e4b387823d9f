/* Conversions between real numbers and the integers of lstm_last.h, for cores where float is welcome. */
#ifndef LSTM_LAST_FLOAT_H
#define LSTM_LAST_FLOAT_H

#include "lstm_last.h"

static inline int32_t lstm_last_to_integer(float v, float scale, int32_t zero, int32_t lo, int32_t hi)
{
    float scaled = v / scale + (float)zero + 0.5f;
    if (!(scaled > (float)lo))  /* NaN too */
        return lo;
    if (scaled >= (float)hi)
        return hi;
    int32_t floor = (int32_t)scaled;
    return (float)floor > scaled ? floor - 1 : floor;
}

static inline int8_t lstm_last_quantize_x(float v)
{
    return (int8_t)lstm_last_to_integer(v, LSTM_LAST_INPUT_SCALE, LSTM_LAST_INPUT_ZERO_POINT, -128, 127);
}

static inline float lstm_last_dequantize_y(int8_t q)
{
    return (float)((int32_t)q - LSTM_LAST_OUTPUT_ZERO_POINT) * LSTM_LAST_OUTPUT_SCALE;
}

#endif
