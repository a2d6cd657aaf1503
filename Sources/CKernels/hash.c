#include <string.h>

#include "ck_planes.h"
#include "isa.h"

static const uint64_t prime1 = 0x9E3779B185EBCA87u, prime2 = 0xC2B2AE3D27D4EB4Fu, prime3 = 0x165667B19E3779F9u, prime4 = 0x85EBCA77C2B2AE63u,
                      prime5 = 0x27D4EB2F165667C5u;

CK_INLINE uint64_t rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

CK_INLINE uint64_t word(const uint8_t *in) { uint64_t x; memcpy(&x, in, 8); return x; }

CK_INLINE uint64_t turn(uint64_t lane, uint64_t input) { return rotate(lane + input * prime2, 31) * prime1; }

uint64_t ck_hash(const void *bytes, size_t count) {
    const uint8_t *in = bytes, *end = in + count;
    uint64_t hash = prime5;
    if (count >= 32) {
        uint64_t lanes[4] = {prime1 + prime2, prime2, 0, 0 - prime1};
        for (; end - in >= 32; in += 32)
            for (int i = 0; i < 4; i++) lanes[i] = turn(lanes[i], word(in + 8 * i));
        hash = rotate(lanes[0], 1) + rotate(lanes[1], 7) + rotate(lanes[2], 12) + rotate(lanes[3], 18);
        for (int i = 0; i < 4; i++) hash = (hash ^ turn(0, lanes[i])) * prime1 + prime4;
    }
    hash += count;
    for (; end - in >= 8; in += 8) hash = rotate(hash ^ turn(0, word(in)), 27) * prime1 + prime4;
    if (end - in >= 4) {
        uint32_t half;
        memcpy(&half, in, 4);
        hash = rotate(hash ^ half * prime1, 23) * prime2 + prime3;
        in += 4;
    }
    for (; in < end; in++) hash = rotate(hash ^ *in * prime5, 11) * prime1;
    hash = (hash ^ hash >> 33) * prime2;
    hash = (hash ^ hash >> 29) * prime3;
    return hash ^ hash >> 32;
}
