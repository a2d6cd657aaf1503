// The packed layout of quantised weights (private to the core; ck_quantized.h describes it).
#ifndef CK_QUANTIZED_PRIVATE_H
#define CK_QUANTIZED_PRIVATE_H

#include "ck_quantized.h"
#include "isa.h"

enum { CK_PANEL = 16, CK_GROUPS = CK_QUANTIZED_BLOCK / 4 };  // rows a panel, groups of four columns a block

CK_INLINE int ck_has_minima(ck_quantized_type type) { return type == CK_INT8_MIN || type == CK_INT4_MIN; }

CK_INLINE int ck_is_4_bit(ck_quantized_type type) { return type == CK_INT4 || type == CK_INT4_MIN; }

// Of the 16 rows' blocks at one place along k: bytes of scales and minima, which come first, and of everything.
CK_INLINE size_t ck_head_bytes(ck_quantized_type type) { return CK_PANEL * (ck_has_minima(type) ? 2 * sizeof(float) : sizeof(uint16_t)); }

CK_INLINE size_t ck_step_bytes(ck_quantized_type type) {
    return ck_head_bytes(type) + CK_PANEL * CK_QUANTIZED_BLOCK / (ck_is_4_bit(type) ? 2 : 1);
}

#endif
