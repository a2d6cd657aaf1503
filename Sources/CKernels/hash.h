// XXH64 in steps, for those who make the bytes and can hash them on the way (private to the core; ck_planes.h tells what it is).
#ifndef CK_HASH_PRIVATE_H
#define CK_HASH_PRIVATE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "isa.h"

enum { CK_STRIPE = 32 };  // bytes that the four lanes take at a time

typedef struct {
    uint64_t lanes[4];
} ck_stripes;

static const uint64_t ck_prime1 = 0x9E3779B185EBCA87u, ck_prime2 = 0xC2B2AE3D27D4EB4Fu;

CK_INLINE uint64_t ck_rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

CK_INLINE uint64_t ck_word(const uint8_t *in) { uint64_t x; memcpy(&x, in, 8); return x; }

CK_INLINE uint64_t ck_lane(uint64_t lane, uint64_t input) { return ck_rotate(lane + input * ck_prime2, 31) * ck_prime1; }

CK_INLINE ck_stripes ck_stripes_begin(void) { return (ck_stripes){{ck_prime1 + ck_prime2, ck_prime2, 0, 0 - ck_prime1}}; }

CK_INLINE void ck_stripes_add(ck_stripes *s, const uint8_t *in) {
    for (int i = 0; i < 4; i++) s->lanes[i] = ck_lane(s->lanes[i], ck_word(in + 8 * i));
}

// The hash of `count` bytes whose first `done`, a multiple of CK_STRIPE, have been added.
uint64_t ck_stripes_end(ck_stripes s, const uint8_t *bytes, size_t done, size_t count);

#endif
