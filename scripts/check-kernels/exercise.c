#include <pthread.h>

#include "check.h"

// Packing from numbers and blocks, unpacking.
static void exercise_quantized(size_t n, size_t k) {
    static const ck_block_type blocks[] = {CK_Q4_0, CK_Q4_1, CK_Q5_0, CK_Q5_1, CK_Q8_0, CK_Q4_K, CK_Q5_K, CK_Q6_K};
    float *w = floats(n * k, 1), *row = array(k, sizeof *row);
    for (int type = CK_INT8; type <= CK_INT4; type++) {
        void *packed = array(ck_quantized_bytes((ck_quantized_type)type, n, k), 1);
        failures += ck_quantize_rows(packed, (ck_quantized_type)type, w, CK_F32, 0, n, k) != 0;
        ck_unpack_quantized_row(row, CK_F32, packed, (ck_quantized_type)type, n - 1, k);
        free(packed);
    }
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        if (k % ck_block_weights(blocks[i])) continue;
        size_t bytes = n * k / ck_block_weights(blocks[i]) * ck_block_bytes(blocks[i]);
        uint8_t *in = array(bytes, 1);
        for (size_t j = 0; j < bytes; j++) in[j] = (uint8_t)(128 + 127 * uniform());
        void *packed = array(ck_quantized_bytes(ck_quantized_type_of(blocks[i]), n, k), 1);
        (void)ck_pack_blocks(packed, blocks[i], in, 0, n, k);
        ck_unpack_quantized_row(row, CK_F32, packed, ck_quantized_type_of(blocks[i]), n - 1, k);
        free(in), free(packed);
    }
    free(w), free(row);
}

static void exercise_rows(size_t rows, size_t n) {
    float *a = floats(rows * n, 3), *b = floats(rows * n, 3), *c = floats(rows * n, 3), *weight = floats(n, 1), *sums = floats(rows, 1);
    float *logprob = floats(rows, 1), *entropy = floats(rows, 1);
    uint16_t *half = array(rows * n, sizeof *half);
    uint16_t *packed = array(ck_packed_count(rows, n), sizeof *packed);
    int32_t *ids = array(rows, sizeof *ids);
    double *uniforms = array(rows, sizeof *uniforms);
    for (size_t r = 0; r < rows; r++) ids[r] = (int32_t)(r % n), uniforms[r] = fabs((double)uniform());
    ck_f32_to_bf16(half, a, rows * n), ck_bf16_to_f32(c, half, rows * n), ck_round_to_bf16(c, a, rows * n);
    ck_pack_rows(packed, half, 0, rows, n), ck_unpack_row(half, packed, rows - 1, n);
    (void)ck_f32_to_f16(half, a, rows * n), ck_f16_to_f32(c, half, rows * n);
    ck_add(a, b, rows * n), ck_rmsnorm(half, CK_BF16, a, weight, 1e-6f, rows, n), ck_rmsnorm(c, CK_F32, a, weight, 1e-6f, rows, n);
    ck_rmsnorm_backward(a, weight, b, c, sums, 1e-6f, rows, n < rows ? n : rows);
    ck_silu_mul(half, CK_BF16, a, b, rows * n), ck_silu_mul_backward(a, b, c, rows * n);
    ck_column_sums(weight, a, rows, n);
    float *table = floats(n * n, 1);
    ck_scatter_add(table, ids, a, rows, n);
    ck_log_softmax(c, rows, n, 1, ids, sums, logprob, entropy);
    const float **places = array(rows, sizeof *places);
    for (size_t r = 0; r < rows; r++) places[r] = c + r * n + n / 2;
    ck_log_softmax_backward(b, places, rows, n / 2, n - n / 2, 1, ids, sums, entropy, logprob, entropy);
    ck_sample(ids, c, rows, n, 1, uniforms, sums, logprob, entropy);
    for (size_t r = 0; r < rows; r++) places[r] = c + r * n;
    ck_log_softmax_backward(c, places, rows, 0, n, 1, ids, sums, entropy, logprob, entropy), ck_argmax(ids, a, rows, n);
    ck_adamw_step step = {1e-3, 0.9, 0.999, 1e-8, 0.01, 1, 0.1, 0.001};
    float *m = array(rows * n, sizeof *m), *v = array(rows * n, sizeof *v);
    memset(m, 0, rows * n * sizeof *m), memset(v, 0, rows * n * sizeof *v);
    uint16_t *high = array(ck_packed_count(rows, n), sizeof *high), *low = array(rows * n, sizeof *low);
    ck_master whole = {.values = a, .rows = rows, .columns = n}, split = {.packed = high, .low = low, .rows = rows, .columns = n};
    ck_master_write(split, a, 0, rows), ck_adamw(whole, m, v, b, step), ck_adamw(split, m, v, b, step);
    ck_master_read(split, a, rows - 1, 1), (void)ck_sum_of_squares(a, rows * n);
    free(high), free(low);
    free(a), free(b), free(c), free(weight), free(sums), free(logprob), free(entropy), free(half), free(packed), free(ids), free(places);
    free(uniforms), free(table), free(m), free(v);
}

static void exercise_rope(size_t rows, size_t heads, size_t d) {
    int32_t *position = array(rows, sizeof *position);
    for (size_t r = 0; r < rows; r++) position[r] = (int32_t)r;
    float *x = floats(rows * heads * d, 1), *angles = floats(rows * d / 2, 1);
    ck_rope(x, position, angles, angles, rows, heads, d, -1);
    free(position), free(x), free(angles);
}
void exercise_kernels(void) {
    for (size_t i = 1; i < 40; i++) exercise_rows(i, 1 + i * 7 % 67);
    exercise_rows(3, 5000), exercise_rows(70, 1025);
    for (size_t d = 2; d <= 80; d += 26) exercise_rope(31, 4, d);
    exercise_quantized(1, 32), exercise_quantized(17, 512), exercise_quantized(70, 96);
}

static void visit(void *context, size_t index) { ((int *)context)[index]++; }

static void visit_all(void *context, size_t first, size_t end) {
    for (size_t i = first; i < end; i++) visit(context, i);
}

static void nested(void *context, size_t index) {
    (void)context, (void)index;
    ck_set_threads(ck_threads());
    float x[40];
    memset(x, 0, sizeof x);
    uint16_t half[40], packed[1024];
    ck_f32_to_bf16(half, x, 40), ck_pack_rows(packed, half, 0, 4, 10);
    ck_matmul(&(ck_output){x, 4, packed, 4, NULL}, 1, half, 2, 10, 0);
}

static void *call(void *unused) {
    for (int i = 0; i < 200; i++) {
        int counts[100] = {0};
        ck_parallel_for(100, visit, counts);
        ck_parallel_ranges(100, 40, visit_all, counts);
        for (int j = 0; j < 100; j++)
            if (counts[j] != 2) __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
        ck_parallel_for(5, nested, NULL);
        ck_set_threads(1 + i % 4);
    }
    return unused;
}

void exercise_threads(void) {
    pthread_t callers[4];
    for (int i = 0; i < 4; i++)
        if (pthread_create(&callers[i], NULL, call, NULL) != 0) perror("pthread_create"), exit(1);
    for (int i = 0; i < 4; i++) pthread_join(callers[i], NULL);
}
