// FP32 weights that an optimizer moves, kept beside the BF16 rounding that products read without keeping its bits twice: a matrix is its packed BF16
// form and the low half of each FP32 number, 4 bytes a weight together.
//
// A number that lies just between two BF16 numbers and rounds up to the even one is kept as the next FP32 number above: the halves could not tell it
// from the one that rounds down. That is one number in 2^17, moved by 2^-24 of its size; all others come back as they were.
#ifndef CK_MASTER_H
#define CK_MASTER_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    float *_Nullable values;     // [rows][columns]; without them:
    uint16_t *_Nullable packed;  // the numbers rounded to BF16, as ck_matmul.h packs them,
    uint16_t *_Nullable low;     // and the low 16 bits of each, [rows][columns]
    size_t rows, columns;
} ck_master;

// Rows [first, first + count) from FP32 and as FP32, [count][columns]; for a packed matrix `first` is a multiple of 16 when writing.
void ck_master_write(ck_master master, const float *_Nonnull in, size_t first, size_t count);
void ck_master_read(ck_master master, float *_Nonnull out, size_t first, size_t count);

// Changes `count` weights in place; `first` is the index of the first one among all, in row-major order.
typedef void (*ck_update)(void *_Nullable context, float *_Nonnull weights, size_t first, size_t count);

// Calls `update` once for every weight, in pieces of at most 65,536 or of a row, from several threads at a time. The weights lie in ck_scratch's
// memory, so `update` must not ask for it.
void ck_master_update(ck_master master, ck_update _Nonnull update, void *_Nullable context);

#endif
