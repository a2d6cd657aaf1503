// Block codecs: the quantised tensor types of GGUF. A row is a run of blocks, a block a few dozen weights with scales of their own.
// The layouts are ggml's (ggml-common.h), the values those of its reference code, bit for bit.
#ifndef CK_BLOCKS_H
#define CK_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

// ggml's numbers of the types.
typedef enum {
    CK_Q4_0 = 2,
    CK_Q4_1 = 3,
    CK_Q5_0 = 6,
    CK_Q5_1 = 7,
    CK_Q8_0 = 8,
    CK_Q4_K = 12,
    CK_Q5_K = 13,
    CK_Q6_K = 14
} ck_block_type;

// Weights in a block and the bytes it takes; 0 for a type without a codec here.
size_t ck_block_weights(ck_block_type type);
size_t ck_block_bytes(ck_block_type type);

// Blocks to FP32: out holds blocks * ck_block_weights(type) values. Nothing is written for a type without a codec.
void ck_dequantize(ck_block_type type, float *_Nonnull out, const uint8_t *_Nonnull in, size_t blocks);

// The index of the first block whose scale or minimum is infinite or NaN; blocks when all are finite. Finite ones give finite weights.
size_t ck_first_nonfinite_block(ck_block_type type, const uint8_t *_Nonnull in, size_t blocks);

#endif
