// Products with a packed BF16 matrix: BF16 inputs, FP32 sums. All three products of a linear layer (y = x Wᵀ, dx = dy W, dW = dyᵀ x) are
// this one kernel over differently packed operands.
//
// Packed layout of a matrix of n rows (outputs) and k columns: panels of 16 rows; in a panel, for each pair of columns, the 16 rows' pairs side
// by side: element (r, c) is packed[((r / 16) * (k₂ / 2) + c / 2) * 32 + (r % 16) * 2 + c % 2] with k₂ = k rounded up to even. Padding is zero.
//
// Every output is one chain of fused multiply-adds along k, in one order whatever the number of rows, of threads or the blocking, so an
// output's bits depend on its own row of x and of the matrix and on the instruction set, on nothing else.
#ifndef CK_MATMUL_H
#define CK_MATMUL_H

#include <stddef.h>
#include <stdint.h>

#include "ck_types.h"

// uint16_t elements of the packed form.
size_t ck_packed_count(size_t n, size_t k);

// Packs rows [first, first + count) of a matrix with k columns, row-major BF16; `first` is a multiple of 16 and `in` points at the first of these
// rows. The last panel's missing rows become zero. From FP32: ck_master_write.
void ck_pack_rows(uint16_t *_Nonnull packed, const uint16_t *_Nonnull in, size_t first, size_t count, size_t k);

// Row `row` of the packed matrix, k elements, as BF16.
void ck_unpack_row(uint16_t *_Nonnull out, const uint16_t *_Nonnull packed, size_t row, size_t k);

// Every output = x[m][k] (BF16, row-major) times its packed n x k matrix, transposed, plus its bias; with `accumulate`, plus what y holds (then
// without biases).
void ck_matmul(const ck_output *_Nonnull outputs, size_t count, const uint16_t *_Nonnull x, size_t m, size_t k, int accumulate);

// The same in FP32: x[m][k] and the outputs' matrices are row-major FP32, `packed` is a plain [n][k].
void ck_matmul_f32(const ck_output *_Nonnull outputs, size_t count, const float *_Nonnull x, size_t m, size_t k, int accumulate);

// dx[m][k] = dy[m][n] (rounded to BF16) times the packed n x k matrix, not transposed. With `accumulate`, plus what dx holds.
void ck_matmul_nn(
    float *_Nonnull dx, const float *_Nonnull dy, size_t m, const uint16_t *_Nonnull packed, size_t n, size_t k, int accumulate);

// What the next product reads of x[rows][k] (BF16, row-major): its transpose, packed, in FP32 where ck_isa() multiplies that faster. Bytes of it, on whole
// lines of the caches, and how it is made.
size_t ck_transposed_bytes(size_t rows, size_t k);
void ck_pack_transposed(void *_Nonnull packed, const uint16_t *_Nonnull x, size_t rows, size_t k);

// dw[n][k] = dy[rows][n] (rounded to BF16), transposed, times x[rows][k], of which ck_pack_transposed made packed_x under the same instruction set.
// With `accumulate`, plus what dw holds.
void ck_matmul_tn(
    float *_Nonnull dw, const float *_Nonnull dy, size_t rows, size_t n, const void *_Nonnull packed_x, size_t k, int accumulate);

#endif
