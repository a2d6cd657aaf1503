#ifndef CK_MATMUL_H
#define CK_MATMUL_H

#endif
