#include "ck_differences.h"

#include <string.h>

#include "ck_threads.h"
#include "isa.h"

// A step of an optimizer is of about the same size for every weight, and so is lost in the rounding of large weights and moves small ones by many
// units in the last place. So the exponent of the base tells how probable which change is; then only its sign is left, which nothing near tells.
//
// Floats are counted in the order of their values, -0 just below +0: the difference d of two is their distance in that order. Coded are the number of
// bits of |d| (unary), those bits below the first one, and the sign; all but the sign and what is far below the first one with binary probabilities
// that adapt. docs/checkpoints.md has the layout.

enum { PART = 65536, MAX_PARTS = 4, CONTEXTS = 256, LENGTHS = 33, SHORT = 3, MODELLED = 8, LIMIT = 255 };

// The probability of a 1 in 65536ths, about the mean of the bits seen, whose number is counted up to LIMIT: then old ones fade.
typedef struct {
    uint16_t p, seen;
} chance;

typedef struct {
    chance length[CONTEXTS][LENGTHS];        // [base's exponent][bits so far]: whether |d| has more
    chance low[CONTEXTS][1 << SHORT];        // [base's exponent][bits of |d| so far]: the next one, when it has up to SHORT
    chance high[2][LENGTHS][1 << MODELLED];  // [whether the base's exponent is 0][bits of |d|][those so far]: the next one, when it has more
    uint16_t rate[LIMIT + 1];                // by `seen`: how far a bit moves a probability, in 65536ths
} model;

// An interval, both ends included, and where it lies in what is written or read.
typedef struct {
    uint32_t from, to, value;
    const uint8_t *in, *in_end;
    uint8_t *out, *out_end;
    int full;
} coder;

static void reset(model *m) {
    chance *all = &m->length[0][0];
    for (size_t i = 0; i < offsetof(model, rate) / sizeof(chance); i++) all[i] = (chance){32768, 0};
    for (unsigned i = 0; i <= LIMIT; i++) m->rate[i] = (uint16_t)(131072 / (2 * i + 3));
}

CK_INLINE uint32_t next_byte(coder *c) { return c->in < c->in_end ? *c->in++ : 0; }

CK_INLINE void put_byte(coder *c, uint32_t byte) {
    if (c->out < c->out_end) *c->out++ = (uint8_t)byte;
    else c->full = 1;
}

// Codes a bit, or gives the one that was coded: which of the two is known when this is compiled.
CK_INLINE unsigned code_bit(coder *c, int decoding, unsigned bit, uint32_t p) {
    uint32_t middle = c->from + (uint32_t)((uint64_t)(c->to - c->from) * p >> 16);
    if (decoding) bit = c->value <= middle;
    if (bit) c->to = middle;
    else c->from = middle + 1;
    while ((c->from ^ c->to) >> 24 == 0) {
        if (decoding) c->value = c->value << 8 | next_byte(c);
        else put_byte(c, c->to >> 24);
        c->from <<= 8, c->to = c->to << 8 | 255;
    }
    return bit;
}

CK_INLINE unsigned code_chance(coder *c, int decoding, const model *m, unsigned bit, chance *k) {
    uint32_t p = k->p;
    bit = code_bit(c, decoding, bit, p < 16 ? 16 : p > 65520 ? 65520 : p);
    uint32_t rate = m->rate[k->seen];
    k->p = (uint16_t)(bit ? p + ((65535 - p) * rate >> 16) : p - (p * rate >> 16));
    k->seen += k->seen < LIMIT;
    return bit;
}

// One difference of `bits` bits, two's complement; `e` is the base's exponent.
CK_INLINE uint32_t code_difference(coder *c, int decoding, model *m, uint32_t d, unsigned e, unsigned bits) {
    uint32_t top = 1u << (bits - 1), mask = top | (top - 1);
    unsigned negative = d >> (bits - 1) & 1;
    uint32_t size = negative ? (0 - d) & mask : d;
    unsigned length = 0, known = size ? 32 - (unsigned)__builtin_clz(size) : 0;
    while (length < bits && code_chance(c, decoding, m, length < known, &m->length[e][length])) length++;
    if (length == 0) return 0;
    uint32_t found = 1;
    for (unsigned i = length - 1; i-- > 0;) {
        unsigned bit = size >> i & 1, before = length - 2 - i;
        if (length <= SHORT) bit = code_chance(c, decoding, m, bit, &m->low[e][found]);
        else if (before < MODELLED) bit = code_chance(c, decoding, m, bit, &m->high[e == 0][length][found]);
        else bit = code_bit(c, decoding, bit, 32768);
        found = found << 1 | bit;
    }
    negative = code_bit(c, decoding, negative, 32768);
    return (negative ? 0 - found : found) & mask;
}

CK_INLINE uint32_t load(const uint8_t *in, size_t index, size_t size) {
    uint32_t x = 0;
    memcpy(&x, in + index * size, size);
    return x;
}

// The float's place in the order of all, two's complement; its own inverse.
CK_INLINE uint32_t place(uint32_t x, unsigned bits) { return x >> (bits - 1) & 1 ? x ^ ((1u << (bits - 1)) - 1) : x; }

CK_INLINE unsigned exponent(uint32_t x, unsigned bits) { return bits == 8 ? x & 127 : x >> (bits - 9) & 255; }

CK_INLINE void code_elements(coder *c, int decoding, model *m, uint8_t *out, const uint8_t *in, const uint8_t *base, size_t count, size_t size) {
    unsigned bits = 8 * (unsigned)size;
    uint32_t mask = (1u << (bits - 1)) | ((1u << (bits - 1)) - 1);
    for (size_t i = 0; i < count && !c->full; i++) {
        uint32_t b = load(base, i, size), before = place(b, bits);
        uint32_t d = decoding ? 0 : (place(load(in, i, size), bits) - before) & mask;
        d = code_difference(c, decoding, m, d, exponent(b, bits), bits);
        if (decoding) {
            uint32_t x = place((before + d) & mask, bits);
            memcpy(out + i * size, &x, size);
        }
    }
}

static void code(coder *c, model *m, const uint8_t *in, const uint8_t *base, size_t count, size_t size) {
    if (size == 1) code_elements(c, 0, m, NULL, in, base, count, 1);
    else if (size == 2) code_elements(c, 0, m, NULL, in, base, count, 2);
    else code_elements(c, 0, m, NULL, in, base, count, 4);
}

static void decode(coder *c, model *m, uint8_t *out, const uint8_t *base, size_t count, size_t size) {
    if (size == 1) code_elements(c, 1, m, out, NULL, base, count, 1);
    else if (size == 2) code_elements(c, 1, m, out, NULL, base, count, 2);
    else code_elements(c, 1, m, out, NULL, base, count, 4);
}

// A chunk in parts, each of up to PART elements, that are coded on their own; out + at[i] is where part i is.
typedef struct {
    uint8_t *out;
    const uint8_t *in, *base;
    size_t count, size;
    size_t at[MAX_PARTS], length[MAX_PARTS];
} chunk;

static size_t part_count(const chunk *a) { return (a->count + PART - 1) / PART; }
static size_t part_elements(const chunk *a, size_t part) { return a->count - part * PART < PART ? a->count - part * PART : PART; }

static void code_part(void *context, size_t part) {
    chunk *a = context;
    size_t first = part * PART * a->size, count = part_elements(a, part);
    model *m = ck_scratch(sizeof(model));
    reset(m);
    coder c = {.to = UINT32_MAX, .out = a->out + first + 4, .out_end = a->out + first + count * a->size};
    if (count * a->size < 4) c.full = 1;
    else code(&c, m, a->in + first, a->base + first, count, a->size);
    for (int shift = 24; shift >= 0; shift -= 8) put_byte(&c, c.from >> shift & 255);
    a->length[part] = c.full ? 0 : (size_t)(c.out - a->out) - first - 4;
}

size_t ck_code_differences(uint8_t *out, const uint8_t *in, const uint8_t *base, size_t count, size_t size) {
    chunk a = {.out = out, .in = in, .base = base, .count = count, .size = size};
    size_t parts = part_count(&a), end = 0;
    if (parts > MAX_PARTS) return 0;
    ck_parallel_for(parts, code_part, &a);
    for (size_t i = 0; i < parts; i++) {
        if (!a.length[i]) return 0;
        uint32_t length = (uint32_t)a.length[i];
        memmove(out + end + 4, out + i * PART * size + 4, length);
        memcpy(out + end, &length, 4);
        end += 4 + length;
    }
    return end < count * size ? end : 0;
}

static void decode_part(void *context, size_t part) {
    chunk *a = context;
    size_t first = part * PART * a->size;
    model *m = ck_scratch(sizeof(model));
    reset(m);
    coder c = {.to = UINT32_MAX, .in = a->in + a->at[part], .in_end = a->in + a->at[part] + a->length[part]};
    for (int i = 0; i < 4; i++) c.value = c.value << 8 | next_byte(&c);
    decode(&c, m, a->out + first, a->base + first, part_elements(a, part), a->size);
}

int ck_decode_differences(uint8_t *out, const uint8_t *in, size_t length, const uint8_t *base, size_t count, size_t size) {
    chunk a = {.out = out, .in = in, .base = base, .count = count, .size = size};
    size_t parts = part_count(&a), at = 0;
    if (parts > MAX_PARTS) return 0;
    for (size_t i = 0; i < parts; i++) {
        uint32_t bytes;
        if (length - at < 4) return 0;
        memcpy(&bytes, in + at, 4);
        at += 4;
        if (bytes > length - at) return 0;
        a.at[i] = at, a.length[i] = bytes;
        at += bytes;
    }
    if (at != length) return 0;
    ck_parallel_for(parts, decode_part, &a);
    return 1;
}
