#include "left.h"

#include "turn.h"

// To nearest, ties to even, as ck_to_bf16 does one number; a NaN stays a quiet NaN. The BF16 number is the high half, the low one is to be dropped.
CK_INLINE void round_to_bf16(ck_bits *x) {
    ck_bits b = *x, up = b + 0x7FFFu + ((b >> 16) & 1u), quiet = b | 0x400000u;
    ck_bits is_nan = (ck_bits)((b & 0x7FFFFFFFu) > 0x7F800000u);
    *x = (is_nan & quiet) | (~is_nan & up);
}

// One element (FP32) or one pair (BF16) of the result; columns past the end are zero.
CK_INLINE uint32_t element(const ck_left *left, ck_type to, size_t row, size_t k, size_t end) {
    if (left->exact) return k < end ? ck_bits_from_float(((const float *)left->x)[row * left->ld + k]) : 0;
    uint16_t pair[2] = {0, 0};
    for (size_t i = 0; i < (to == CK_BF16 ? 2u : 1u) && k + i < end; i++)
        pair[i] = left->turned              ? ck_to_bf16(((const float *)left->x)[(k + i) * left->ld + row])
                  : left->type == CK_BF16 ? ((const uint16_t *)left->x)[row * left->ld + k + i]
                                          : ck_to_bf16(((const float *)left->x)[row * left->ld + k + i]);
    return to == CK_BF16 ? (uint32_t)pair[1] << 16 | pair[0] : (uint32_t)pair[0] << 16;
}

// Eight elements (FP32) or eight pairs (BF16) of one row from column k on.
CK_INLINE void load_row(ck_bits *out, const ck_left *left, ck_type to, int exact, size_t row, size_t k) {
    size_t at = row * left->ld + k;
    if (exact) {
        *out = *(const ck_bits *)(const void *)((const float *)left->x + at);
    } else if (left->type == CK_BF16) {
        const uint16_t *x = (const uint16_t *)left->x + at;
        *out = to == CK_BF16 ? *(const ck_bits *)(const void *)x : __builtin_convertvector(*(const ck_halves *)(const void *)x, ck_bits) << 16;
    } else {
        const float *x = (const float *)left->x + at;
        ck_bits first = *(const ck_bits *)(const void *)x;
        round_to_bf16(&first);
        if (to == CK_BF16) {
            ck_bits second = *(const ck_bits *)(const void *)(x + CK_SIDE);
            round_to_bf16(&second);
            ck_bits even = __builtin_shufflevector(first, second, 0, 2, 4, 6, 8, 10, 12, 14);
            ck_bits odd = __builtin_shufflevector(first, second, 1, 3, 5, 7, 9, 11, 13, 15);
            *out = (odd & 0xFFFF0000u) | (even >> 16);
        } else {
            *out = first & 0xFFFF0000u;
        }
    }
}

// Columns k and, for BF16, k + 1 of eight rows that lie side by side.
CK_INLINE void load_turned(ck_bits *out, const ck_left *left, ck_type to, size_t row, size_t k) {
    const float *x = (const float *)left->x + k * left->ld + row;
    ck_bits first = *(const ck_bits *)(const void *)x;
    round_to_bf16(&first);
    if (to == CK_BF16) {
        ck_bits second = *(const ck_bits *)(const void *)(x + left->ld);
        round_to_bf16(&second);
        *out = (second & 0xFFFF0000u) | (first >> 16);
    } else {
        *out = first & 0xFFFF0000u;
    }
}

// A vector writes eight rows. Where fewer exist, what is too much is overwritten by the next column's, and the last columns of a turned operand are
// written one by one; where more do, a second one ends with the last row.
CK_INLINE void tile(uint32_t *out, ck_type to, int exact, const ck_left *left, size_t row, size_t rows, size_t k, size_t count) {
    size_t width = to == CK_BF16 ? 2 : 1, end = k + count, columns = (count + count % 2) / width, whole = count / width, c = 0;
    size_t last = rows > CK_SIDE ? rows - CK_SIDE : 0;  // where the second one begins
    if (left->turned && row + last + CK_SIDE <= left->ld) {
        for (size_t over = (CK_SIDE - 1) / rows; c + over < whole; c++) {
            load_turned((ck_bits *)(void *)(out + c * rows), left, to, row, k + c * width);
            if (last > 0) load_turned((ck_bits *)(void *)(out + c * rows + last), left, to, row + last, k + c * width);
        }
    } else if (!left->turned && rows == 1) {
        for (; c + CK_SIDE <= whole; c += CK_SIDE) load_row((ck_bits *)(void *)(out + c), left, to, exact, row, k + c * width);
    } else if (!left->turned) {
        for (; c + CK_SIDE <= whole; c += CK_SIDE)
            for (size_t first = 0;; first = last) {
                ck_bits v[CK_SIDE] = {{0}};
#pragma clang loop unroll(full)
                for (size_t r = 0; r < CK_SIDE; r++) load_row(&v[r], left, to, exact, row + first + (r < rows ? r : 0), k + c * width);
                ck_turn(v);
#pragma clang loop unroll(full)
                for (size_t i = 0; i < CK_SIDE; i++) *(ck_bits *)(void *)(out + (c + i) * rows + first) = v[i];
                if (first == last) break;
            }
    }
    for (; c < columns; c++)
        for (size_t r = 0; r < rows; r++) out[c * rows + r] = element(left, to, row + r, k + c * width, end);
}

CK_INLINE void tile_body(uint32_t *out, ck_type to, const ck_left *left, size_t row, size_t rows, size_t k, size_t count) {
    if (left->exact)
        tile(out, CK_F32, 1, left, row, rows, k, count);
    else if (to == CK_F32)
        tile(out, CK_F32, 0, left, row, rows, k, count);
    else
        tile(out, CK_BF16, 0, left, row, rows, k, count);
}
CK_KERNEL(tile, (uint32_t * out, ck_type to, const ck_left *left, size_t row, size_t rows, size_t k, size_t count),
          (out, to, left, row, rows, k, count))

size_t ck_left_count(size_t rows, size_t count) { return rows * (count + 1) + CK_SIDE; }

void ck_left_tile(float *out, const ck_left *left, size_t row, size_t rows, size_t k, size_t count) {
    CK_CALL(tile)((uint32_t *)(void *)out, CK_F32, left, row, rows, k, count);
}

void ck_left_tile_bf16(uint32_t *out, const ck_left *left, size_t row, size_t rows, size_t k, size_t count) {
    CK_CALL(tile)(out, CK_BF16, left, row, rows, k, count);
}

void ck_left_ask(const ck_left *left, size_t row, size_t rows, size_t k, size_t count) {
    for (size_t c = 0; c < count; c++) {
        const float *from = (const float *)left->x + (k + c) * left->ld + row;
        for (const char *at = (const char *)from - (uintptr_t)from % 64; at < (const char *)(from + rows); at += 64) __builtin_prefetch(at, 0, 2);
    }
}
