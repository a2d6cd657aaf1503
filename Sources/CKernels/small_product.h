// FP32 products of matrices that lie in the cache (private to the core).
#ifndef CK_SMALL_PRODUCT_PRIVATE_H
#define CK_SMALL_PRODUCT_PRIVATE_H

#include <stddef.h>

// Columns of a product come in vectors of this many.
enum { CK_COLUMNS = 16 };

static inline size_t ck_whole_columns(size_t n) { return (n + CK_COLUMNS - 1) / CK_COLUMNS * CK_COLUMNS; }

// C (+)= A B: c is [m][ldc], element (i, l) of A is a[i * row_step + l * k_step], b is [k][ldb], and n is a multiple of CK_COLUMNS.
// Every element of C is one chain of fused multiply-adds along k, from 0 or from what C holds: its bits do not depend on m, n, the steps, or on
// whether k was walked in one call or in several.
typedef struct {
    float *c;
    size_t ldc;
    const float *a;
    size_t row_step, k_step;
    const float *b;
    size_t ldb, m, n, k;
    int accumulate;
} ck_product;

void ck_small_product(ck_product p);

#endif
