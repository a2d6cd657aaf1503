// Conversions between FP32, BF16 and FP16. BF16 and FP16 are their bit patterns in uint16_t.
#ifndef CK_CONVERT_H
#define CK_CONVERT_H

#include <stddef.h>
#include <stdint.h>

// BF16 to FP32: exact.
void ck_bf16_to_f32(float *_Nonnull out, const uint16_t *_Nonnull in, size_t count);

// FP32 to BF16: to nearest, ties to even; a NaN stays a (quiet) NaN.
void ck_f32_to_bf16(uint16_t *_Nonnull out, const float *_Nonnull in, size_t count);

// FP16 to FP32: exact, subnormals included.
void ck_f16_to_f32(float *_Nonnull out, const uint16_t *_Nonnull in, size_t count);

// FP32 to FP16: to nearest, ties to even; returns how many finite values overflowed to infinity.
size_t ck_f32_to_f16(uint16_t *_Nonnull out, const float *_Nonnull in, size_t count);

// FP32 rounded through BF16, kept in FP32.
void ck_round_to_bf16(float *_Nonnull out, const float *_Nonnull in, size_t count);

#endif
