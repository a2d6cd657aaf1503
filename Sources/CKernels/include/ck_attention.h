// Causal attention over runs of keys, forward and backward: the one shape that serves prefill, decode, shared prompts and training.
#ifndef CK_ATTENTION_H
#define CK_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

#include "ck_types.h"

// The keys of one query: rows [start0, start0 + n0) of the key array (a shared prompt, or nothing), then [start1, start1 + n1) (its own).
// A query sees its keys in this order, one after the other, so its result does not depend on where they are stored.
typedef struct {
    size_t start0, n0, start1, n1;
} ck_keys;

// out[r][h][:] = sum over j of softmax_j(q[r][h] . k[j][h'] * d^-1/2) v[j][h'], h' = h * kv_heads / heads.
// q is FP32 [rows][heads][d]; k and v are [keys][kv_heads][d] of type `type`, and so is out[rows][heads][d].
// Scores sum along d and outputs along the keys, one fused multiply-add after the other: a row's bits depend on no other row.
void ck_attention(
    void *_Nonnull out, const float *_Nonnull q, const void *_Nonnull k, const void *_Nonnull v, ck_type type, const ck_keys *_Nonnull keys,
    size_t rows, size_t heads, size_t kv_heads, size_t d);

// dq = and dk, dv += the gradients, given dout (FP32). Every gradient of a key is one sum along the rows, in their order.
void ck_attention_backward(
    float *_Nonnull dq, float *_Nonnull dk, float *_Nonnull dv, const float *_Nonnull dout, const float *_Nonnull q,
    const void *_Nonnull k, const void *_Nonnull v, ck_type type, const ck_keys *_Nonnull keys, size_t rows, size_t heads, size_t kv_heads,
    size_t d);

#endif
