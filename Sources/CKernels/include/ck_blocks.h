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
    CK_Q2_K = 10,
    CK_Q3_K = 11,
    CK_Q4_K = 12,
    CK_Q5_K = 13,
    CK_Q6_K = 14,
    CK_IQ4_NL = 20,
    CK_IQ4_XS = 23
} ck_block_type;

// Weights in a block and the bytes it takes; 0 for a type without a codec here.
size_t ck_block_weights(ck_block_type type);
size_t ck_block_bytes(ck_block_type type);

// Blocks to FP32: out holds blocks * ck_block_weights(type) values. Nothing is written for a type without a codec.
void ck_dequantize(ck_block_type type, float *_Nonnull out, const uint8_t *_Nonnull in, size_t blocks);

// FP32 to blocks, for Q4_0 to Q8_0, IQ4_NL and Q4_K to Q6_K. Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 are ggml's reference rounding, bit for bit. For the
// others ggml's own code searches too; here each group takes, of a few scales around the one that spans its range, the one whose least-squares fit
// leaves the smallest squared error. `importance`, how much an error matters in each of a row's `columns` (a multiple of the block; finite, not
// negative), times the root of the row's mean square plus the weight's (llama.cpp's proportions), weighs the squares; with it Q4_0 to Q5_1 search
// too. Then `in` begins with a row. Returns how many blocks hold an infinity or a NaN, or need a scale that FP16 cannot hold; what is written for
// these is useless. Nothing is written for another type.
size_t ck_quantize(
    ck_block_type type, uint8_t *_Nonnull out, const float *_Nonnull in, size_t blocks, const float *_Nullable importance, size_t columns);

// The index of the first block whose scale or minimum is infinite or NaN; blocks when all are finite. Finite ones give finite weights.
size_t ck_first_nonfinite_block(ck_block_type type, const uint8_t *_Nonnull in, size_t blocks);

#endif
