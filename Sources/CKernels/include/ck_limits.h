// What the machine can do at most, measured: what kernels are compared with.
#ifndef CK_LIMITS_H
#define CK_LIMITS_H

// Floating-point operations a second of all threads of the pool, multiplying and adding in registers only with the widest instruction that
// ck_matmul uses on this instruction set (a BF16 pair counts as four operations). Takes about 0.1 s.
double ck_peak_flops(void);

// Bytes a second that all threads of the pool read from memory, in order, from an array far larger than the caches. Takes about 0.2 s; 0 when
// there is no memory for the array.
double ck_read_bandwidth(void);

#endif
