#include "check.h"

long failures, compared;
static uint64_t state = 1;

float uniform(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(state >> 32) * 0x1p-31f;
}

void *array(size_t count, size_t size) {
    void *memory;
    return posix_memalign(&memory, 64, count * size + (count * size == 0)) == 0 ? memory : (perror("posix_memalign"), exit(1), NULL);
}

float *floats(size_t count, float scale) {
    float *x = array(count, sizeof *x);
    for (size_t i = 0; i < count; i++) x[i] = uniform() * scale;
    return x;
}

uint16_t *halves(size_t count, float scale) {
    float *x = floats(count, scale);
    uint16_t *out = array(count, sizeof *out);
    ck_f32_to_bf16(out, x, count);
    free(x);
    return out;
}

float widen(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &wide, sizeof x);
    return x;
}
