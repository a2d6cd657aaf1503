// Dropout whose mask is a function of what it is for, not of the order of work: element (r, c) of the matrix falls out when its 16 bits
// of Philox4x32-10 (Salmon et al. 2011) are below the threshold. Any rows, computed again at any time by any number of threads, have the same mask.
#ifndef CK_DROPOUT_H
#define CK_DROPOUT_H

#include <stddef.h>
#include <stdint.h>

#include "ck_types.h"

typedef struct {
    uint64_t seed;
    uint32_t layer, pass;  // the matrix that is masked, and the pass over it
    uint32_t threshold;    // the probability of falling out, times 2^16
    float scale;           // of what stays: 1 / (1 - probability)
} ck_dropout_mask;

// out[r][c] = x[r][c] * scale, or 0; row r of the matrices has the number ids[r] (or r, without ids) in the mask.
void ck_dropout(
    void *_Nonnull out, const void *_Nonnull x, ck_type type, const int32_t *_Nullable ids, size_t rows, size_t n, ck_dropout_mask mask);

// dx[r][c] += dy[r][c] * scale, or nothing: the gradient.
void ck_dropout_backward(
    float *_Nonnull dx, const float *_Nonnull dy, const int32_t *_Nullable ids, size_t rows, size_t n, ck_dropout_mask mask);

#endif
