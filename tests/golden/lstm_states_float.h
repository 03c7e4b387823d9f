/* Conversions between real numbers and the integers of lstm_states.h, for cores where float is welcome. */
#ifndef LSTM_STATES_FLOAT_H
#define LSTM_STATES_FLOAT_H

#include "lstm_states.h"

static inline int32_t lstm_states_to_integer(float v, float scale, int32_t zero, int32_t lo, int32_t hi)
{
    float scaled = v / scale + (float)zero + 0.5f;
    if (!(scaled > (float)lo))  /* NaN too */
        return lo;
    if (scaled >= (float)hi)
        return hi;
    int32_t floor = (int32_t)scaled;
    return (float)floor > scaled ? floor - 1 : floor;
}

static inline int8_t lstm_states_quantize_x(float v)
{
    return (int8_t)lstm_states_to_integer(v, LSTM_STATES_INPUT_SCALE, LSTM_STATES_INPUT_ZERO_POINT, -128, 127);
}

static inline int8_t lstm_states_quantize_h0(float v)
{
    return (int8_t)lstm_states_to_integer(v, LSTM_STATES_H0_SCALE, LSTM_STATES_H0_ZERO_POINT, -128, 127);
}

static inline int16_t lstm_states_quantize_c0(float v)
{
    return (int16_t)lstm_states_to_integer(v, LSTM_STATES_C0_SCALE, LSTM_STATES_C0_ZERO_POINT, -32768, 32767);
}

static inline float lstm_states_dequantize_y(int8_t q)
{
    return (float)((int32_t)q - LSTM_STATES_OUTPUT_ZERO_POINT) * LSTM_STATES_OUTPUT_SCALE;
}

static inline float lstm_states_dequantize_hn(int8_t q)
{
    return (float)((int32_t)q - LSTM_STATES_HN_ZERO_POINT) * LSTM_STATES_HN_SCALE;
}

static inline float lstm_states_dequantize_cn(int16_t q)
{
    return (float)((int32_t)q - LSTM_STATES_CN_ZERO_POINT) * LSTM_STATES_CN_SCALE;
}

#endif
