// What is in an array of numbers, and how two differ. Sums are in double precision; each call adds to what the structure holds.
#ifndef CK_STATISTICS_H
#define CK_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    size_t count, nans, infinities, zeros;  // the finite numbers give the rest
    double sum, squares;
    float least, most;                      // +inf and -inf at the start
    size_t exponents[256];                  // of all numbers, by the eight bits of the FP32 exponent
} ck_statistics;

void ck_add_statistics(ck_statistics *_Nonnull statistics, const float *_Nonnull in, size_t count);

typedef struct {
    size_t changed;             // elements whose bits differ
    uint64_t largest_distance;  // in units in the last place: how many numbers of the type lie between, plus one
} ck_bit_difference;

// Elements of `size` bytes, 2 or 4, of one floating-point type.
void ck_add_bit_difference(
    ck_bit_difference *_Nonnull difference, const void *_Nonnull left, const void *_Nonnull right, size_t count, size_t size);

typedef struct {
    double squared_difference, left_squares, right_squares, products;
    float largest;  // of |left - right|
} ck_difference;

void ck_add_difference(ck_difference *_Nonnull difference, const float *_Nonnull left, const float *_Nonnull right, size_t count);

#endif
