// The element types that the kernels read and write, and one output of a product.
#ifndef CK_TYPES_H
#define CK_TYPES_H

#include <stddef.h>

typedef enum { CK_F32 = 0, CK_BF16 = 1 } ck_type;

// y[m][n] (row stride ldy) = an x that several outputs may share, times a packed matrix with n rows, transposed, plus bias[n] if given.
typedef struct {
    float *_Nonnull y;
    size_t ldy;
    const void *_Nonnull packed;
    size_t n;
    const float *_Nullable bias;
} ck_output;

#endif
