// compare ROUNDS LIBRARY ... [-- WORD ...]: builds of the C core take turns (Benchmarks/compare makes them). Weights come from memory, as in a model.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "ck_limits.h"
#include "ck_matmul.h"
#include "ck_quantized.h"

enum { MOST_VERSIONS = 8, LAYERS = 24, MOST_ROWS = 552, WIDEST = 9728, LIMITS = 8 };

// A version: what is measured of it, found by name. An older one may have another interface: then it cannot be compared.
typedef struct {
    const char *name;
    __typeof__(&ck_matmul) matmul;
    __typeof__(&ck_matmul_f32) matmul_f32;
    __typeof__(&ck_matmul_nn) nn;
    __typeof__(&ck_matmul_tn) tn;
    __typeof__(&ck_matmul_quantized) quantized;
    __typeof__(&ck_peak_flops) peak;
    __typeof__(&ck_read_bandwidth) bandwidth;
} version;

// The linear layers of a decoder layer of the 0.5B, as they are multiplied: q, k and v; o; gate and up; down.
static const struct {
    size_t k, n;
} shapes[] = {{896, 1152}, {896, 896}, {896, 9728}, {4864, 896}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef enum { MATMUL, FP32, NN, TN, INT8, INT4 } kind;
static const char *const kinds[] = {"matmul", "fp32", "nn", "tn", "int8", "int4"};

// So many rows through so many layers: tens of milliseconds to a second.
static const struct {
    kind kind;
    size_t rows, layers;
} measures[] = {
    {MATMUL, 1, LAYERS}, {MATMUL, 2, LAYERS}, {MATMUL, 3, LAYERS},  {MATMUL, 4, LAYERS}, {MATMUL, 5, LAYERS},  {MATMUL, 6, LAYERS}, {MATMUL, 8, LAYERS},
    {MATMUL, 16, 8},     {MATMUL, 32, 4},     {MATMUL, 100, 2},     {MATMUL, 512, 1},    {FP32, 1, LAYERS / 2}, {FP32, 8, LAYERS / 2}, {FP32, 512, 1},
    {NN, 100, 2},        {NN, 552, 1},        {TN, 100, 2},         {TN, 552, 1},        {INT8, 1, LAYERS},    {INT8, 2, LAYERS},     {INT8, 8, LAYERS},
    {INT8, 512, 1},      {INT4, 1, LAYERS},   {INT4, 2, LAYERS},    {INT4, 8, LAYERS},   {INT4, 512, 1},
};

static char *weights;
static ck_piece all_weights;
static uint16_t *halves;
static float *floats, *outputs;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// Bytes of a layer's matrix. A quantised block of 32 weights has a scale of two bytes.
static size_t bytes_of(kind kind, size_t k, size_t n) {
    return kind == INT8 ? k * n / 32 * 34 : kind == INT4 ? k * n / 32 * 18 : kind == FP32 ? k * n * 4 : k * n * 2;
}

static double seconds(const version *v, kind kind, size_t rows, size_t layers) {
    const char *w = weights;
    double began = now();
    for (size_t layer = 0; layer < layers; layer++)
        for (size_t s = 0; s < SHAPES; s++) {
            size_t k = shapes[s].k, n = shapes[s].n;
            ck_output output = {.y = outputs, .ldy = n, .packed = w, .n = n};
            switch (kind) {
            case MATMUL: v->matmul(&output, 1, halves, rows, k, 0); break;
            case FP32: v->matmul_f32(&output, 1, floats, rows, k, 0); break;
            case NN: v->nn(outputs, floats, rows, (const uint16_t *)(const void *)w, n, k, 0); break;
            case TN: v->tn(outputs, floats, rows, n, (const uint16_t *)(const void *)weights, k, 0); break;
            case INT8: v->quantized(&output, 1, CK_INT8, halves, CK_BF16, rows, k); break;
            case INT4: v->quantized(&output, 1, CK_INT4, halves, CK_BF16, rows, k); break;
            }
            w += bytes_of(kind, k, n);
        }
    return now() - began;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// In place; at: 0.5 for the median.
static double quantile(double *values, size_t count, double at) {
    qsort(values, count, sizeof *values, ascending);
    return values[(size_t)((double)(count - 1) * at + 0.5)];
}

static void *memory(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        fprintf(stderr, "compare: no memory for %zu bytes\n", bytes);
        exit(1);
    }
    madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
}

static void *find(void *library, const char *path, const char *name) {
    void *found = dlsym(library, name);
    if (found) return found;
    fprintf(stderr, "compare: %s has no %s\n", path, name);
    exit(1);
}

static version load(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "compare: %s\n", dlerror());
        exit(1);
    }
    version v = {.name = strrchr(path, '/') + 1};
#define FIND(member, symbol) v.member = (__typeof__(v.member))find(library, path, symbol)
    FIND(matmul, "ck_matmul");
    FIND(matmul_f32, "ck_matmul_f32");
    FIND(nn, "ck_matmul_nn");
    FIND(tn, "ck_matmul_tn");
    FIND(quantized, "ck_matmul_quantized");
    FIND(peak, "ck_peak_flops");
    FIND(bandwidth, "ck_read_bandwidth");
    return v;
}

// Small numbers of either sign, also as weights, INT8 or 4-bit blocks.
static void fill(void) {
    size_t per_layer = 0;
    for (size_t s = 0; s < SHAPES; s++) per_layer += bytes_of(MATMUL, shapes[s].k, shapes[s].n);
    weights = memory(per_layer * LAYERS);
    all_weights = (ck_piece){weights, per_layer * LAYERS};
    halves = memory(MOST_ROWS * WIDEST * sizeof *halves);
    floats = memory(MOST_ROWS * WIDEST * sizeof *floats);
    outputs = memory((size_t)WIDEST * 4864 * sizeof *outputs);
    for (size_t i = 0; i < per_layer * LAYERS / 2; i++) ((uint16_t *)(void *)weights)[i] = (uint16_t)(0x3C00 + i * 40503 % 128 + (i & 1) * 0x8000);
    for (size_t i = 0; i < MOST_ROWS * WIDEST; i++) {
        floats[i] = (float)(i % 17) - 8;
        halves[i] = (uint16_t)(0x3F00 + i * 7919 % 256 + (i & 1) * 0x8000);
    }
}

static int chosen(const char *name, char **words) {
    if (!*words) return 1;
    for (; *words; words++)
        if (strstr(name, *words)) return 1;
    return 0;
}

int main(int count, char **arguments) {
    size_t rounds = (size_t)atol(arguments[1]), versions = 0;
    version all[MOST_VERSIONS];
    int next = 2;
    for (; next < count && strcmp(arguments[next], "--") != 0; next++) {
        if (versions == MOST_VERSIONS) {
            fprintf(stderr, "compare: expected at most %d versions\n", MOST_VERSIONS);
            return 1;
        }
        all[versions++] = load(arguments[next]);
    }
    char **words = arguments + (next < count ? next + 1 : count);  // the list of arguments ends with a NULL
    fill();

    double *times = calloc(rounds * (versions + 1), sizeof *times);
    printf("%-12s %10s %9s %7s", "", "ms", "GFLOP/s", "GB/s");
    for (size_t v = 1; v < versions; v++) printf("  %24.24s", all[v].name);
    printf("   of the first, %s: time taken, median (quartiles)\n", all[0].name);
    for (size_t m = 0; m < sizeof measures / sizeof *measures; m++) {
        char name[32];
        snprintf(name, sizeof name, "%s %zu", kinds[measures[m].kind], measures[m].rows);
        if (!chosen(name, words)) continue;
        for (size_t round = 0; round <= rounds; round++)  // the first one warms up
            for (size_t turn = 0; turn < versions; turn++) {
                size_t v = (turn + round) % versions;
                times[v * rounds + (round ? round - 1 : 0)] = seconds(&all[v], measures[m].kind, measures[m].rows, measures[m].layers);
            }
        double weights_read = 0, bytes = 0, *ratios = times + versions * rounds;
        for (size_t s = 0; s < SHAPES; s++) {
            weights_read += (double)(shapes[s].k * shapes[s].n * measures[m].layers);
            bytes += (double)(bytes_of(measures[m].kind, shapes[s].k, shapes[s].n) * measures[m].layers);
        }
        char columns[MOST_VERSIONS * 32] = "";
        for (size_t v = 1; v < versions; v++) {
            for (size_t i = 0; i < rounds; i++) ratios[i] = times[v * rounds + i] / times[i];
            size_t end = strlen(columns);
            snprintf(columns + end, sizeof columns - end, "  %8.3f (%.3f to %.3f)", quantile(ratios, rounds, 0.5), quantile(ratios, rounds, 0.25),
                     quantile(ratios, rounds, 0.75));
        }
        double median = quantile(times, rounds, 0.5);
        printf("%-12s %10.2f %9.0f %7.1f%s\n", name, median * 1e3, 2 * weights_read * (double)measures[m].rows / median / 1e9, bytes / median / 1e9, columns);
        fflush(stdout);
    }
    double limits[2] = {0};  // the best of several
    for (int i = 0; i < LIMITS; i++) {
        double measured[] = {all[0].peak(), all[0].bandwidth(&all_weights, 1)};
        for (int l = 0; l < 2; l++) limits[l] = measured[l] > limits[l] ? measured[l] : limits[l];
    }
    printf("This machine: at most %.0f GFLOP/s, %.1f GB/s\n", limits[0] / 1e9, limits[1] / 1e9);
    free(times);
}
