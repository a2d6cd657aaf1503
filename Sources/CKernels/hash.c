#include "hash.h"

#include "ck_planes.h"

static const uint64_t prime3 = 0x165667B19E3779F9u, prime4 = 0x85EBCA77C2B2AE63u, prime5 = 0x27D4EB2F165667C5u;

uint64_t ck_stripes_end(ck_stripes s, const uint8_t *bytes, size_t done, size_t count) {
    const uint8_t *in = bytes + done, *end = bytes + count;
    uint64_t hash = prime5;
    if (count >= CK_STRIPE) {
        for (; end - in >= CK_STRIPE; in += CK_STRIPE) ck_stripes_add(&s, in);
        hash = ck_rotate(s.lanes[0], 1) + ck_rotate(s.lanes[1], 7) + ck_rotate(s.lanes[2], 12) + ck_rotate(s.lanes[3], 18);
        for (int i = 0; i < 4; i++) hash = (hash ^ ck_lane(0, s.lanes[i])) * ck_prime1 + prime4;
    }
    hash += count;
    for (; end - in >= 8; in += 8) hash = ck_rotate(hash ^ ck_lane(0, ck_word(in)), 27) * ck_prime1 + prime4;
    if (end - in >= 4) {
        uint32_t half;
        memcpy(&half, in, 4);
        hash = ck_rotate(hash ^ half * ck_prime1, 23) * ck_prime2 + prime3;
        in += 4;
    }
    for (; in < end; in++) hash = ck_rotate(hash ^ *in * prime5, 11) * ck_prime1;
    hash = (hash ^ hash >> 33) * ck_prime2;
    hash = (hash ^ hash >> 29) * prime3;
    return hash ^ hash >> 32;
}

uint64_t ck_hash(const void *bytes, size_t count) { return ck_stripes_end(ck_stripes_begin(), bytes, 0, count); }
