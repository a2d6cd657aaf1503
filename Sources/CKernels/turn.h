// Vectors of eight and their transposition, under any instruction set (private to the core).
#ifndef CK_TURN_PRIVATE_H
#define CK_TURN_PRIVATE_H

#include <stdint.h>

#include "isa.h"

enum { CK_SIDE = 8 };

// Not aligned: the rows of a BF16 matrix with an odd number of columns are not even aligned for pairs. Functions take them by pointer: without AVX
// there is no convention for passing them.
typedef uint32_t ck_bits __attribute__((vector_size(CK_SIDE * sizeof(uint32_t)), aligned(2)));
typedef uint16_t ck_halves __attribute__((vector_size(CK_SIDE * sizeof(uint16_t)), aligned(2)));

// Eight rows of eight become eight columns: single elements, then pairs, then quadruples change places.
CK_INLINE void ck_turn(ck_bits r[CK_SIDE]) {
    ck_bits t[CK_SIDE];
#pragma clang loop unroll(full)
    for (int i = 0; i < CK_SIDE; i += 2) {
        t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < CK_SIDE; i += 4)
#pragma clang loop unroll(full)
        for (int j = 0; j < 2; j++) {
            r[i + j] = __builtin_shufflevector(t[i + j], t[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            r[i + j + 2] = __builtin_shufflevector(t[i + j], t[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
#pragma clang loop unroll(full)
    for (int j = 0; j < 4; j++) {
        t[j] = __builtin_shufflevector(r[j], r[j + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        t[j + 4] = __builtin_shufflevector(r[j], r[j + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
#pragma clang loop unroll(full)
    for (int j = 0; j < CK_SIDE; j++) r[j] = t[j];
}

#endif
