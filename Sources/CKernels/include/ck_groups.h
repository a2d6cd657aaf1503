// Integers with a BF16 scale a group of neighbouring weights: the weights of compressed-tensors' `pack-quantized` format.
#ifndef CK_GROUPS_H
#define CK_GROUPS_H

#include <stddef.h>
#include <stdint.h>

// w = scale * q with q in -2^(bits-1) ... 2^(bits-1) - 1; bits is 4 or 8. Rows of k weights (bits * k a multiple of 8) hold k / group groups each. q is
// stored as q + 2^(bits-1): of 4 bits, two to a byte, the first in the low nibble. `scales` holds BF16, rows * k / group of them.
// Each group takes, of 19 scales around the one that spans its range, the one whose least-squares fit has the smallest squared error, the squares
// weighed by `importance`, how much an error matters in each of the k columns (finite, not negative), if it is given.
// Returns how many groups hold a number that is not finite (or beyond 1e12).
size_t ck_quantize_groups(
    uint8_t *_Nonnull q, uint16_t *_Nonnull scales, const float *_Nonnull in, const float *_Nullable importance, size_t rows, size_t k,
    size_t group, int bits);

// The weights back, in FP32: rows of k weights as above, their scales in FP32.
void ck_dequantize_groups(
    float *_Nonnull out, const uint8_t *_Nonnull q, const float *_Nonnull scales, size_t rows, size_t k, size_t group, int bits);

#endif
