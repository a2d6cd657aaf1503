// One block of finite weights to its bytes (private to the core): 32 weights, 256 for the K types.
#ifndef CK_QUANTIZE_PRIVATE_H
#define CK_QUANTIZE_PRIVATE_H

#include <stdint.h>

#include "convert.h"

void ck_quantize_q4_0(uint8_t *restrict out, const float *restrict x);
void ck_quantize_q4_1(uint8_t *restrict out, const float *restrict x);
void ck_quantize_q5_0(uint8_t *restrict out, const float *restrict x);
void ck_quantize_q5_1(uint8_t *restrict out, const float *restrict x);
void ck_quantize_q8_0(uint8_t *restrict out, const float *restrict x);
void ck_quantize_iq4_nl(uint8_t *restrict out, const float *restrict x);
void ck_quantize_q4_k(uint8_t *restrict out, const float *restrict x);
void ck_quantize_q5_k(uint8_t *restrict out, const float *restrict x);
void ck_quantize_q6_k(uint8_t *restrict out, const float *restrict x);

// FP16, to nearest even, little-endian.
void ck_store_half(uint8_t *out, float value);

#endif
