// The element types that the kernels read and write.
#ifndef CK_TYPES_H
#define CK_TYPES_H

typedef enum { CK_F32 = 0, CK_BF16 = 1 } ck_type;

#endif
