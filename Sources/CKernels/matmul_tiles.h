// The tiles of a product: a few rows of x times a few panels of weights, in registers (private to the core; ck_matmul.h describes the panels).
#ifndef CK_MATMUL_TILES_PRIVATE_H
#define CK_MATMUL_TILES_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include "left.h"
#include "panel.h"

enum { CK_MOST_PANELS = 8 };  // panels a tile, at most

// A tile: y[rows][panels * 16] from x, laid out by left.h, and `panels` panels that lie `stride` bytes apart, starting from init (row stride
// ldi, 0 for one row that serves all). Panels are BF16 as ck_matmul.h describes them, or FP32, [column][16] with an even number of columns.
typedef struct {
    float *y;
    size_t ldy;
    const float *init;
    size_t ldi;
    const void *x, *w;
    size_t stride, pairs;
    // What to ask for, `next_step` bytes a pair of columns: lines wanted soon into the first-level cache (AVX-512), `next` into the second one. When
    // `leap_at` pairs are left, what is asked for is past these panels' ends: both go on `leap` bytes further, to the next ones (AVX2 goes straight on, which
    // was no slower).
    const char *soon, *next;
    size_t next_step, leap_at, leap;
    int cached;  // the panels lie in a cache, and none follow: nothing is asked for
    int stream;  // y, on whole lines of the caches, goes to memory past them: ck_stream_end
} ck_tile;

typedef void (*ck_tile_kernel)(const ck_tile *);

// The tiles of an instruction set. Few rows take several panels at once, to have eight or more independent chains.
typedef struct {
    ck_tile_kernel wide[CK_TILE_ROWS + 1];    // by rows, `panels[rows]` panels at once
    ck_tile_kernel narrow[CK_TILE_ROWS + 1];  // by rows, one panel
    size_t panels[CK_TILE_ROWS + 1];
    size_t ahead[CK_TILE_ROWS + 1];  // by rows, KB of its panels that a tile alone asks for before it reads them, the next ones' at the end; 0: it asks for none
    size_t rows;   // a tile's rows, at most
    ck_type type;  // of the panels
    int multiplies_bf16;
} ck_tiles;

// Those of ck_isa() for panels of BF16, of FP32, and for BF16 matrices that are turned for one product, into the type that suits its multiply-adds.
const ck_tiles *ck_matmul_tiles(void);
const ck_tiles *ck_matmul_tiles_f32(void);
const ck_tiles *ck_matmul_tiles_turned(void);

// What a product starts from: one row that serves all.
extern const float ck_zeros[CK_MOST_PANELS * CK_PANEL];

// Rows of a product, cut into tiles whose heights differ by one at most, the taller ones first.
typedef struct {
    size_t row, rows, tiles;
    const void *x;  // the tiles one after the other, in 32-bit elements
} ck_strip;

static inline size_t ck_strip_tile_rows(const ck_strip *s, size_t tile) { return s->rows / s->tiles + (tile < s->rows % s->tiles); }

// How many panels the strip takes at once.
static inline size_t ck_strip_panels(const ck_tiles *set, const ck_strip *s) { return set->panels[(s->rows + s->tiles - 1) / s->tiles]; }

// The strip times the panels from tile->w on that hold `columns` columns, as many at once as suit it. tile->y and tile->init point at its first row.
void ck_strip_multiply(const ck_tiles *set, const ck_strip *strip, const ck_tile *tile, size_t columns);

// Orders what this thread streamed before whatever it stores next, such as the news that its task is done.
void ck_stream_end(void);

#endif
