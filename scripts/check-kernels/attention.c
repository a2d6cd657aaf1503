#include "check.h"

// Within FP32's rounding of a sum whose terms add up to about 1.
static void near(const char *what, ck_isa_level level, float found, double expected, size_t d) {
    compared++;
    if (!(fabs((double)found - expected) <= 1e-5 * (1 + fabs(expected))) && failures++ < 10)
        printf("%s, %s, d %zu: %g where %g is right\n", what, ck_isa_name(level), d, (double)found, expected);
}

// Attention and its gradients, compared with FP64; every row also alone: its bits may not depend on those beside it.
static void check_heads(ck_isa_level level, ck_type type, size_t d) {
    enum { FIRST = 5, PROMPT = 40, OWN = 17, KEYS = FIRST + PROMPT + 2 * OWN, ROWS = KEYS, HEADS = 14, KV = 2, GROUP = HEADS / KV };
    ck_keys keys[ROWS];
    for (size_t r = 0; r < FIRST; r++) keys[r] = (ck_keys){0, 0, 0, r + 1};
    for (size_t r = FIRST; r < FIRST + PROMPT; r++) keys[r] = (ck_keys){0, 0, FIRST, r - FIRST + 1};
    for (size_t r = FIRST + PROMPT; r < ROWS; r++) {
        size_t first = FIRST + PROMPT + (r < FIRST + PROMPT + OWN ? 0 : OWN);
        keys[r] = (ck_keys){FIRST, PROMPT, first, r - first + 1};
    }
    size_t q_count = ROWS * HEADS * d, k_count = KEYS * KV * d, size = type == CK_BF16 ? 2 : 4;
    float *q = floats(q_count, 1), *dout = floats(q_count, 1), *dq = floats(q_count, 1), *dk = floats(k_count, 1), *dv = floats(k_count, 1);
    uint16_t *k_half = halves(k_count, 1), *v_half = halves(k_count, 1);
    float *k = array(k_count, sizeof *k), *v = array(k_count, sizeof *v), *wide = array(q_count, sizeof *wide);
    for (size_t i = 0; i < k_count; i++) k[i] = widen(k_half[i]), v[i] = widen(v_half[i]);
    void *k_typed = type == CK_BF16 ? (void *)k_half : k, *v_typed = type == CK_BF16 ? (void *)v_half : v;
    char *out = array(q_count, size), *alone = array(HEADS * d, size);
    double *dk_exact = array(k_count, sizeof *dk_exact), *dv_exact = array(k_count, sizeof *dv_exact), *sum = array(2 * d, sizeof *sum);
    for (size_t i = 0; i < k_count; i++) dk_exact[i] = (double)dk[i], dv_exact[i] = (double)dv[i];

    ck_attention(out, q, k_typed, v_typed, type, keys, ROWS, HEADS, KV, d);
    for (size_t r = 0; r < ROWS; r++) {
        ck_attention(alone, q + r * HEADS * d, k_typed, v_typed, type, keys + r, 1, HEADS, KV, d);
        compared++;
        if (memcmp(alone, out + r * HEADS * d * size, HEADS * d * size) != 0 && failures++ < 10)
            printf("attention, %s, d %zu: row %zu alone is another\n", ck_isa_name(level), d, r);
    }
    ck_attention(wide, q, k, v, CK_F32, keys, ROWS, HEADS, KV, d);
    ck_attention_backward(dq, dk, dv, dout, q, k_typed, v_typed, type, keys, ROWS, HEADS, KV, d);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t head = 0; head < HEADS; head++) {
            const float *x = q + (r * HEADS + head) * d, *g = dout + (r * HEADS + head) * d;
            size_t n = keys[r].n0 + keys[r].n1, at[KEYS];
            double p[KEYS], dp[KEYS], total = 0, mean = 0, scale = 1 / sqrt((double)d), *output = sum, *gradient = sum + d;
            memset(sum, 0, 2 * d * sizeof *sum);
            for (size_t j = 0; j < n; j++) {
                at[j] = ((j < keys[r].n0 ? keys[r].start0 + j : keys[r].start1 + j - keys[r].n0) * KV + head / GROUP) * d;
                double score = 0;
                dp[j] = 0;
                for (size_t i = 0; i < d; i++) score += (double)x[i] * (double)k[at[j] + i], dp[j] += (double)g[i] * (double)v[at[j] + i];
                total += p[j] = exp(score * scale);
            }
            for (size_t j = 0; j < n; j++) mean += (p[j] /= total) * dp[j];
            for (size_t j = 0; j < n; j++)
                for (size_t i = 0; i < d; i++) {
                    double ds = p[j] * (dp[j] - mean) * scale;
                    output[i] += p[j] * (double)v[at[j] + i], gradient[i] += ds * (double)k[at[j] + i];
                    dk_exact[at[j] + i] += ds * (double)x[i], dv_exact[at[j] + i] += p[j] * (double)g[i];
                }
            for (size_t i = 0; i < d; i++) {
                near("attention", level, wide[(r * HEADS + head) * d + i], output[i], d);
                near("attention's dq", level, dq[(r * HEADS + head) * d + i], gradient[i], d);
            }
        }
    for (size_t i = 0; i < k_count; i++) {
        near("attention's dk", level, dk[i], dk_exact[i], d);
        near("attention's dv", level, dv[i], dv_exact[i], d);
    }
    free(q), free(dout), free(dq), free(dk), free(dv), free(k), free(v), free(k_half), free(v_half), free(wide), free(out), free(alone);
    free(dk_exact), free(dv_exact), free(sum);
}

void check_attention(ck_isa_level level) {
    for (size_t d = 2; d <= 80; d += 26) check_heads(level, CK_F32, d), check_heads(level, CK_BF16, d);
}
