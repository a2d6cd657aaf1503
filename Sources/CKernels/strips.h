// The left operand of a product in chunks of rows and blocks of columns, laid out once for all tasks (private to the core).
#ifndef CK_STRIPS_PRIVATE_H
#define CK_STRIPS_PRIVATE_H

#include <stddef.h>

#include "left.h"
#include "matmul_tiles.h"

// A strip is a chunk's rows and a block's columns.
typedef struct {
    const ck_tiles *set;
    ck_left left;
    size_t m, k, chunks, block;  // block: columns, an even number
    size_t bytes;                // of a strip
    char *strips;                // [chunk][block]; NULL while nothing is laid out
} ck_strips;

// A chunk of rows without its x: whole tiles, their sum as even as it can be.
ck_strip ck_strips_chunk(const ck_strips *s, size_t index);

// Lays out all of it, in shared scratch memory.
void ck_strips_lay_out(ck_strips *s);

// Where a chunk's block that begins at column k lies.
const void *ck_strips_at(const ck_strips *s, size_t index, size_t k);

#endif
