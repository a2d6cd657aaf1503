// The left operand of a product, cut into tiles and laid out as the tiles read it (private to the core).
#ifndef CK_LEFT_PRIVATE_H
#define CK_LEFT_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include "convert.h"

enum { CK_TILE_ROWS = 14 };  // rows of a tile, at most: two vectors of left.c hold them

// x[m][k]: BF16, or FP32 that is rounded to BF16; row-major with row stride ld, or `turned`: FP32 held as [k][m] with row stride ld. `exact`:
// row-major FP32 that is not rounded, for ck_left_tile alone.
typedef struct {
    const void *x;
    size_t ld;
    ck_type type;
    int turned, exact;
} ck_left;

// Where row `row` and what follows begin.
static inline const void *ck_left_from(const ck_left *left, size_t row) {
    return (const char *)left->x + row * (left->turned ? 1 : left->ld) * ck_size(left->type);
}

// Elements of 32 bits that `rows` rows of `count` columns take.
size_t ck_left_count(size_t rows, size_t count);

// Rows [row, row + rows), at most CK_TILE_ROWS, and columns [k, k + count); with an odd count a column of zeros follows.
// As FP32: out[c * rows + r]. As BF16: the pair of columns 2c and 2c + 1 in out[c * rows + r]. Writes up to 8 elements past the end, of a turned
// operand none.
void ck_left_tile(float *out, const ck_left *left, size_t row, size_t rows, size_t k, size_t count);
void ck_left_tile_bf16(uint32_t *out, const ck_left *left, size_t row, size_t rows, size_t k, size_t count);

// Asks for these rows and columns of a turned operand.
void ck_left_ask(const ck_left *left, size_t row, size_t rows, size_t k, size_t count);

#endif
