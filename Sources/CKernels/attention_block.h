// What attention's forward and backward pass share: a block of rows under one key head, whose scores stay in the cache (private to the core).
#ifndef CK_ATTENTION_BLOCK_PRIVATE_H
#define CK_ATTENTION_BLOCK_PRIVATE_H

#include "ck_attention.h"
#include "convert.h"

enum { CK_MOST_BLOCK_QUERIES = 112 };

// A query of a block is one head of one row: query i is head i % group of row i / group.
// Its scores, and what is made of them, are a line of numbers by position: key j of the row is number j, wherever it lies.
typedef struct {
    const ck_keys *keys;  // [rows]
    ck_type type;         // of keys and values
    size_t rows, heads, kv_heads, d;
    size_t group;       // heads that share a key head
    size_t wide;        // d in whole vectors: from one query to the next
    size_t stride;      // from one line to the next
    size_t block_rows;  // rows of a block; the last one may have fewer
} ck_attention_plan;

// Rows [first, first + rows) under one key head.
typedef struct {
    const ck_attention_plan *plan;
    size_t first, rows, kv_head;
} ck_block;

// `arrays` is how many lines a query has at a time.
ck_attention_plan ck_plan_attention(const ck_keys *keys, ck_type type, size_t rows, size_t heads, size_t kv_heads, size_t d, size_t arrays);

CK_INLINE size_t ck_least(size_t a, size_t b) { return a < b ? a : b; }

CK_INLINE size_t ck_most(size_t a, size_t b) { return a > b ? a : b; }

CK_INLINE size_t ck_key_count(const ck_keys *keys) { return keys->n0 + keys->n1; }

CK_INLINE size_t ck_longest(const ck_keys *keys, size_t rows) {
    size_t longest = 0;
    for (size_t row = 0; row < rows; row++) longest = ck_most(longest, ck_key_count(&keys[row]));
    return longest;
}

CK_INLINE size_t ck_block_queries(const ck_block *b) { return b->rows * b->plan->group; }

// Consecutive rows of a block that find the same keys at positions [from, to), each of them as many as it has.
typedef struct {
    size_t row, rows, from, to;
} ck_stretch;

enum { CK_MOST_STRETCHES = 2 * CK_MOST_BLOCK_QUERIES };

// The stretches that hold every key of every row once; a row's positions ascend from stretch to stretch.
size_t ck_block_stretches(const ck_block *b, ck_stretch *stretches);

// Numbers of scratch that the two below need.
size_t ck_block_scratch(const ck_attention_plan *plan);

// x[query][wide] = from[row][head][d], with zeros behind d.
void ck_block_gather(const ck_block *b, float *x, const float *from);

// s[query][j] = x[query] . k[j], for every key j of the query.
void ck_block_scores(const ck_block *b, float *s, const float *x, const void *k, float *scratch);

// y[query][wide] = sum over the query's keys of p[query][j] v[j].
void ck_block_sums(const ck_block *b, float *y, const float *p, const void *v, float *scratch);

// s[query][j] = e^((s[j] - the largest) d^-1/2) for every key j, 0 behind them up to a whole vector; inverse[query] = 1 / their sum.
void ck_block_exponentials(const ck_block *b, float *s, float *inverse);

#endif
