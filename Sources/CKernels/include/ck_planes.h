// What lossless packing does to weights: an exponent in a byte of its own compresses, mantissas do not.
#ifndef CK_PLANES_H
#define CK_PLANES_H

#include <stddef.h>
#include <stdint.h>

// Elements of `size` bytes (1, 2 or 4, little-endian) are rotated left by one bit, which brings the exponent of a float to the top and its sign to
// the bottom. Their highest bytes go to `high`, the others, in their order, to `rest` (size - 1 bytes an element). `in` needs no alignment.
// Merging gives the hash of `out` as well.
void ck_split_planes(uint8_t *_Nonnull high, uint8_t *_Nonnull rest, const uint8_t *_Nonnull in, size_t count, size_t size);
uint64_t ck_merge_planes(uint8_t *_Nonnull out, const uint8_t *_Nonnull high, const uint8_t *_Nonnull rest, size_t count, size_t size);

// XXH64 with seed 0, as the xxHash specification defines it: a checksum against damage, not against forgery.
uint64_t ck_hash(const void *_Nonnull bytes, size_t count);

#endif
