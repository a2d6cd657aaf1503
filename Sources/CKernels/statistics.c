#include "ck_statistics.h"

#include "convert.h"

enum { LANES = 8 };

static double total(const double *lanes) { return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7])); }

void ck_add_statistics(ck_statistics *s, const float *in, size_t count) {
    double sums[LANES] = {0}, squares[LANES] = {0};
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = ck_bits_from_float(in[i]), exponent = (bits >> 23) & 255;
        s->exponents[exponent]++;
        if (exponent == 255) {
            if (bits & 0x7FFFFFu)
                s->nans++;
            else
                s->infinities++;
            continue;
        }
        s->zeros += (bits & 0x7FFFFFFFu) == 0;
        s->least = in[i] < s->least ? in[i] : s->least;
        s->most = in[i] > s->most ? in[i] : s->most;
        sums[i % LANES] += in[i];
        squares[i % LANES] += (double)in[i] * in[i];
    }
    s->count += count;
    s->sum += total(sums);
    s->squares += total(squares);
}

// The numbers of a type in their order: negative ones, whose bits count the other way, lie below zero.
static int64_t place(uint64_t bits, size_t size) {
    uint64_t sign = (uint64_t)1 << (8 * size - 1);
    return bits & sign ? -(int64_t)(bits & (sign - 1)) : (int64_t)bits;
}

void ck_add_bit_difference(ck_bit_difference *d, const void *left, const void *right, size_t count, size_t size) {
    for (size_t i = 0; i < count; i++) {
        uint64_t a = size == 2 ? ((const uint16_t *)left)[i] : ((const uint32_t *)left)[i];
        uint64_t b = size == 2 ? ((const uint16_t *)right)[i] : ((const uint32_t *)right)[i];
        if (a == b) continue;
        int64_t distance = place(a, size) - place(b, size);
        uint64_t magnitude = (uint64_t)(distance < 0 ? -distance : distance);
        d->changed++;
        d->largest_distance = magnitude > d->largest_distance ? magnitude : d->largest_distance;
    }
}

void ck_add_difference(ck_difference *d, const float *left, const float *right, size_t count) {
    double differences[LANES] = {0}, lefts[LANES] = {0}, rights[LANES] = {0}, products[LANES] = {0};
    for (size_t i = 0; i < count; i++) {
        double a = left[i], b = right[i];
        float distance = __builtin_fabsf(left[i] - right[i]);
        differences[i % LANES] += (a - b) * (a - b);
        lefts[i % LANES] += a * a;
        rights[i % LANES] += b * b;
        products[i % LANES] += a * b;
        d->largest = distance > d->largest || distance != distance ? distance : d->largest;
    }
    d->squared_difference += total(differences);
    d->left_squares += total(lefts);
    d->right_squares += total(rights);
    d->products += total(products);
}
