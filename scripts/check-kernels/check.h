// What the checks of the C core share: arrays of exactly their size with random numbers in them, and the count of what was found.
#ifndef CHECK_KERNELS_H
#define CHECK_KERNELS_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"

extern long failures, compared;

// In [-1, 1).
float uniform(void);
// Aligned as the model's memory is: what is streamed needs whole lines of the caches.
void *array(size_t count, size_t size);
// Numbers in [-scale, scale), in FP32 and in BF16.
float *floats(size_t count, float scale);
uint16_t *halves(size_t count, float scale);
float widen(uint16_t bits);

// Products of every type and both gradients under the instruction set `level`, in the shapes that its tiles have; quick: the small ones.
void check_products(ck_isa_level level, int quick);
// Attention and its gradients.
void check_attention(ck_isa_level level);
// Everything else, for the sanitizers: that no element outside an array is read or written,
void exercise_kernels(void);
// and that no two threads meet.
void exercise_threads(void);

#endif
