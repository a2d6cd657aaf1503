// What a GGUF block holds, 32 weights at a time (private to the core).
#ifndef CK_BLOCKS_PRIVATE_H
#define CK_BLOCKS_PRIVATE_H

#include "ck_blocks.h"

enum { CK_GROUP = 32 };

// 32 neighbouring weights: scale * q + minimum.
typedef struct {
    float scale, minimum;
    int8_t q[CK_GROUP];
} ck_group;

// Weights [32 * group, 32 * group + 32) of a block, for every type but CK_Q2_K, CK_Q3_K and CK_Q6_K, whose scales serve 16
// weights. The minimum of types without one
// is 0.
void ck_read_group(ck_group *out, ck_block_type type, const uint8_t *block, int group);

#endif
