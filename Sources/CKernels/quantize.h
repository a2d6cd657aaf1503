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

// With the importance of each weight; NULL: all matter alike.
void ck_search_q4_0(uint8_t *restrict out, const float *restrict x, const float *restrict w);
void ck_search_q4_1(uint8_t *restrict out, const float *restrict x, const float *restrict w);
void ck_search_q5_0(uint8_t *restrict out, const float *restrict x, const float *restrict w);
void ck_search_q5_1(uint8_t *restrict out, const float *restrict x, const float *restrict w);
void ck_search_iq4_nl(uint8_t *restrict out, const float *restrict x, const float *restrict w);
void ck_search_q4_k(uint8_t *restrict out, const float *restrict x, const float *restrict w);
void ck_search_q5_k(uint8_t *restrict out, const float *restrict x, const float *restrict w);
void ck_search_q6_k(uint8_t *restrict out, const float *restrict x, const float *restrict w);

// Where the codes of 32 weights of 4 or 5 bits lie: the low nibbles of two weights to a byte, the fifth bits before them.
void ck_store_nibbles(uint8_t *out, const uint8_t *q);
void ck_store_fifth_bits(uint8_t *out, const uint8_t *q);

// FP16, to nearest even, little-endian.
void ck_store_half(uint8_t *out, float value);

#endif
