// What the machine can do, measured: what kernels are compared with. On a shared machine it changes from one tenth of a second to the next: whoever
// asks decides between the best and the mean of several measurements.
#ifndef CK_LIMITS_H
#define CK_LIMITS_H

#include <stddef.h>

// Floating-point operations a second of all threads of the pool, multiplying and adding in registers only with the instruction that ck_matmul
// uses on this instruction set (a BF16 pair counts as four operations). Takes some 20 ms.
double ck_peak_flops(void);

typedef struct {
    const void *_Nullable memory;
    size_t bytes;
} ck_piece;

// Bytes a second that all threads of the pool read of these pieces, in order, by plain loads. What fits into the caches is read from there the second
// time, and a server's third-level cache may hold hundreds of MB. 0 without memory for a list of the pieces.
double ck_read_bandwidth(const ck_piece *_Nonnull pieces, size_t count);

#endif
