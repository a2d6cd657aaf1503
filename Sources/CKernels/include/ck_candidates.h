// The few large numbers among many: what top-k, top-p and min-p choose from.
#ifndef CK_CANDIDATES_H
#define CK_CANDIDATES_H

#include <stddef.h>
#include <stdint.h>

// The largest number of each `block` of x[n] in turn, the last one shorter perhaps: (n + block - 1) / block of them. A NaN is passed over, but for a
// block's first number.
void ck_block_maxima(float *_Nonnull maxima, const float *_Nonnull x, size_t n, size_t block);

// The indices of the numbers of x[n] that are no less than `least`, in order; returns how many. `indices` has room for n.
size_t ck_at_least(int32_t *_Nonnull indices, const float *_Nonnull x, size_t n, float least);

#endif
