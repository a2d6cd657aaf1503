// What a fine-tune changes in weights, coded in few bits: an arithmetic coder that knows the weights before.
#ifndef CK_DIFFERENCES_H
#define CK_DIFFERENCES_H

#include <stddef.h>
#include <stdint.h>

// Codes floats of `size` bytes (1, 2 or 4, little-endian) as they differ from those of a base, in parts on every thread. `out` has room for count *
// size bytes; gives how many it takes, or 0 if not less than that. No buffer needs alignment.
size_t ck_code_differences(uint8_t *_Nonnull out, const uint8_t *_Nonnull in, const uint8_t *_Nonnull base, size_t count, size_t size);

// The other way round; 0 if the parts do not fill `length` bytes. Other damage gives other elements, in a time that `count` bounds, and reads nothing
// beyond `length`: a checksum must tell.
int ck_decode_differences(uint8_t *_Nonnull out, const uint8_t *_Nonnull in, size_t length, const uint8_t *_Nonnull base, size_t count, size_t size);

#endif
