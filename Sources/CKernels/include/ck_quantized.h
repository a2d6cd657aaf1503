// Products with a matrix of INT8 or 4-bit weights. Weights come in blocks of 32 along k with a scale (and, for two types, a minimum) of their
// own; a row of x is quantised to INT8 in the same blocks at every call, scale max|x| / 127, to nearest even.
//
// y[r][c] starts at the bias (or 0); then for each block, from the first to the last,
//     y = fma(dot, x scale * w scale, y)              dot = the 32 integer products' sum, exact
//     y = fma(x scale * x sum, w minimum, y)          where the type has minima; x sum = the sum of the block's 32 integers
// in FP32, each operation rounded once. So an output's bits depend on its own row of x and of the matrix, on nothing else: not on the other
// rows, not on the threads, not on the instruction set.
//
// Packed layout of n rows (outputs): panels of 16 rows; a panel holds its blocks along k one after the other, a block first the 16 rows' scales
// (and minima), then their integers, four consecutive columns of a row side by side: column c of row r is at 64 * (c / 4) + 4 * r + c % 4. Of a
// 4-bit type, byte 64 * (c / 4) + 4 * r + c % 4 of the first half holds column c in the low nibble and column c + 16 in the high one.
#ifndef CK_QUANTIZED_H
#define CK_QUANTIZED_H

#include <stddef.h>
#include <stdint.h>

#include "ck_blocks.h"
#include "ck_types.h"

typedef enum {
    CK_INT8 = 0,      // w = scale * q, q in -128 ... 127, FP16 scale: 8.5 bits a weight
    CK_INT4 = 1,      // w = scale * (q - 8), q in 0 ... 15, FP16 scale: 4.5 bits
    CK_INT8_MIN = 2,  // w = scale * q + minimum, both FP32: 10 bits
    CK_INT4_MIN = 3   // w = scale * q + minimum, q in 0 ... 15, both FP32: 6 bits
} ck_quantized_type;

// Columns in a block: k is a multiple of it everywhere here.
enum { CK_QUANTIZED_BLOCK = 32 };

// Bytes of the packed form; pointers to it are aligned to 4.
size_t ck_quantized_bytes(ck_quantized_type type, size_t n, size_t k);

// Quantises and packs rows [first, first + count) of a row-major matrix with k columns; `first` is a multiple of 16, `in` points at the first of
// these rows, and the last panel's missing rows become zero. CK_INT8 rounds as ggml's Q8_0 does, bit for bit; CK_INT4 takes, of 19 scales around
// max|w| / 8, the one whose least-squares fit has the smallest squared error. Other types are not made, only read.
// Returns how many blocks have a scale that FP16 cannot hold (a weight past 8 million, infinite or NaN): then the result is useless.
size_t ck_quantize_rows(
    void *_Nonnull packed, ck_quantized_type type, const void *_Nonnull in, ck_type in_type, size_t first, size_t count, size_t k);

// The type that holds blocks of a GGUF type: exactly, except that CK_Q6_K (whose scales serve 16 weights) is rounded to CK_INT8.
ck_quantized_type ck_quantized_type_of(ck_block_type type);

// Packs rows of blocks as a GGUF file has them, into ck_quantized_type_of(type); otherwise like ck_quantize_rows, its result included.
size_t ck_pack_blocks(void *_Nonnull packed, ck_block_type type, const uint8_t *_Nonnull blocks, size_t first, size_t count, size_t k);

// Row `row` of the packed matrix, k elements.
void ck_unpack_quantized_row(
    void *_Nonnull out, ck_type out_type, const void *_Nonnull packed, ck_quantized_type type, size_t row, size_t k);

// Every output = x[m][k] (row-major) times its packed n x k matrix of one type, transposed, plus its bias. A block of x that holds an infinity or a
// NaN makes its row NaN; one whose numbers are all below 1e-36 counts as zeros.
void ck_matmul_quantized(
    const ck_output *_Nonnull outputs, size_t count, ck_quantized_type type, const void *_Nonnull x, ck_type x_type, size_t m, size_t k);

#endif
