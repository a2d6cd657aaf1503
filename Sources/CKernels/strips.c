#include "strips.h"

#include "ck_threads.h"

enum { TURNED_K = 32 };  // columns of a turned operand that are laid out of all tiles at a time

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static size_t blocks_of(const ck_strips *s) { return (s->k + s->block - 1) / s->block; }

static size_t tiles_of(const ck_strips *s) { return (s->m + s->set->rows - 1) / s->set->rows; }

// 32-bit elements that a row of `columns` columns takes.
static size_t row_elements(const ck_tiles *set, size_t columns) { return set->multiplies_bf16 ? (columns + 1) / 2 : columns + columns % 2; }

ck_strip ck_strips_chunk(const ck_strips *s, size_t index) {
    size_t height = s->set->rows, tiles = tiles_of(s);
    size_t row = least(s->m, tiles * index / s->chunks * height), end = least(s->m, tiles * (index + 1) / s->chunks * height);
    return (ck_strip){row, end - row, (end - row + height - 1) / height, NULL};
}

// Lays out columns [k, k + count) of the strip. Those of a turned operand lie far apart: the next ones are asked for meanwhile.
static void take_strip(const ck_strips *s, const ck_strip *strip, char *x, size_t k, size_t count) {
    const ck_left *left = &s->left;
    for (size_t done = 0, some; done < count; done += some) {
        some = left->turned ? least(TURNED_K, count - done) : count;
        if (left->turned) ck_left_ask(left, strip->row, strip->rows, k + done + some, least(TURNED_K, count - done - some));
        size_t before = 0;  // rows of the tiles before this one
        for (size_t i = 0; i < strip->tiles; i++) {
            size_t rows = ck_strip_tile_rows(strip, i);
            char *out = x + (before * row_elements(s->set, count) + rows * row_elements(s->set, done)) * sizeof(float);
            if (s->set->multiplies_bf16)
                ck_left_tile_bf16((uint32_t *)(void *)out, left, strip->row + before, rows, k + done, some);
            else
                ck_left_tile((float *)(void *)out, left, strip->row + before, rows, k + done, some);
            before += rows;
        }
    }
}

static char *strip_at(const ck_strips *s, size_t index, size_t block) { return s->strips + (index * blocks_of(s) + block) * s->bytes; }

static void lay_out_task(void *context, size_t index) {
    const ck_strips *s = context;
    size_t blocks = blocks_of(s), block = index % blocks, k = block * s->block;
    ck_strip strip = ck_strips_chunk(s, index / blocks);
    take_strip(s, &strip, strip_at(s, index / blocks, block), k, least(s->block, s->k - k));
}

void ck_strips_lay_out(ck_strips *s) {
    size_t rows = (tiles_of(s) + s->chunks - 1) / s->chunks * s->set->rows, strips = s->chunks * blocks_of(s);
    s->bytes = (ck_left_count(rows, s->block) * sizeof(float) + 63) / 64 * 64;
    s->strips = ck_shared_scratch(strips * s->bytes);
    ck_parallel_for(strips, lay_out_task, s);
}

const void *ck_strips_at(const ck_strips *s, size_t index, size_t k) { return strip_at(s, index, k / s->block); }
