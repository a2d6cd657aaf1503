// Row-wise operations of a decoder, forward and backward: RMSNorm, rotary embedding, SwiGLU, embedding rows, bias gradients.
// Activations are FP32; an `out` with a type is the input of a matrix product and is rounded to that type.
#ifndef CK_ROWS_H
#define CK_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "ck_types.h"

// Row r of out = row index[r] (or r, without an index) of in: n elements, converted to out's type. Strides are in bytes.
void ck_copy_rows(
    void *_Nonnull out, ck_type out_type, size_t out_stride, const void *_Nonnull in, ck_type in_type, size_t in_stride,
    const int32_t *_Nullable index, size_t rows, size_t n);

// x[i] += delta[i].
void ck_add(float *_Nonnull x, const float *_Nonnull delta, size_t count);

// out[r][i] = x[r][i] / sqrt(mean(x[r]²) + eps) * weight[i].
void ck_rmsnorm(
    void *_Nonnull out, ck_type type, const float *_Nonnull x, const float *_Nonnull weight, float eps, size_t rows, size_t n);

// dx += and dweight += the gradients of ck_rmsnorm, given dy; dweight may be left out.
void ck_rmsnorm_backward(
    float *_Nonnull dx, float *_Nullable dweight, const float *_Nonnull dy, const float *_Nonnull x, const float *_Nonnull weight, float eps,
    size_t rows, size_t n);

// Rotates the halves of each head of x[rows][heads * d] by the angle whose cosine and sine are cosine[position[r]][d / 2] and sine[...];
// direction is 1, or -1 for the backward pass.
void ck_rope(
    float *_Nonnull x, const int32_t *_Nonnull position, const float *_Nonnull cosine, const float *_Nonnull sine, size_t rows, size_t heads,
    size_t d, int direction);

// out = silu(gate) * up.
void ck_silu_mul(void *_Nonnull out, ck_type type, const float *_Nonnull gate, const float *_Nonnull up, size_t count);

// Replaces gate and up by their gradients, given the gradient of silu(gate) * up.
void ck_silu_mul_backward(float *_Nonnull gate, float *_Nonnull up, const float *_Nonnull dout, size_t count);

// dbias[c] += sum over r of dy[r][c], in the order of the rows.
void ck_column_sums(float *_Nonnull dbias, const float *_Nonnull dy, size_t rows, size_t columns);

// table[ids[r]] += dx[r], in the order of the rows; row length n.
void ck_scatter_add(float *_Nonnull table, const int32_t *_Nonnull ids, const float *_Nonnull dx, size_t rows, size_t n);

#endif
