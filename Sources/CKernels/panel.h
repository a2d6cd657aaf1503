// Panels of a packed matrix (ck_matmul.h describes them) in other forms (private to the core).
#ifndef CK_PANEL_PRIVATE_H
#define CK_PANEL_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include "ck_types.h"

enum { CK_PANEL = 16 };  // outputs a panel

// Elements of a panel with k columns.
static inline size_t ck_panel_count(size_t k) { return (k + 1) / 2 * 2 * CK_PANEL; }

// A panel from `count` rows of BF16, [count][k], and its first `count` rows again; rows that are missing become zero.
void ck_panel_pack(uint16_t *panel, const uint16_t *rows, size_t count, size_t k);
void ck_panel_unpack(uint16_t *rows, const uint16_t *panel, size_t count, size_t k);

// Columns [column, column + 16) of rows [row, row + count) of a packed matrix with k columns, as a panel of `type` whose 16 outputs are the columns:
// `count` elements along K, rounded up to a multiple of 16. `row` and `column` are multiples of 16; columns past k are zero.
void ck_panel_turn(void *out, ck_type type, const uint16_t *packed, size_t row, size_t count, size_t k, size_t column);

#endif
