// AdamW whose moments are bytes: each is a step of a table times the largest magnitude of its block (Dettmers et al. 2022, "8-bit Optimizers via
// Block-wise Quantization"; the tables, the block and the order of operations are those of bitsandbytes).
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "ck_optimizer.h"
#include "ck_threads.h"
#include "isa.h"
#include "vector.h"

// Every instruction set rounds after each operation.
#pragma STDC FP_CONTRACT OFF

enum { BLOCK = CK_ADAMW_8BIT_BLOCK, BLOCKS_A_TASK = 64, STEPS = 256 };

// Magnitudes up to 1, by their bits: below 2^-23 all are nearer to 0 than to any step, and of those that share seven bits of the fraction two steps
// at most are nearest to one.
enum { SHIFT = 16, LEAST = (127 - 23) << 23, MOST = 127 << 23, BUCKETS = ((MOST - LEAST) >> SHIFT) + 1, ALL = 0xFFFF };

// `steps` in rising order, that of 0 at `zero`. Of each bucket of magnitudes: how far from it the nearest step is for the lowest one, above ALL; and
// the low bits of the last one that it is nearest to.
typedef struct {
    float steps[STEPS];
    int zero;
    uint32_t nearest[BUCKETS];
} table;

static table signed_table, unsigned_table;
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

// Seven decades below 1, each twice as finely divided as the one below; 0 and 1; with a sign, half as finely and the same with a minus.
static void fill(table *t, int is_signed) {
    float positive[STEPS];
    int count = 0;
    positive[count++] = 0;
    for (int decade = 0; decade < 7; decade++) {
        int parts = 1 << (is_signed ? decade : decade + 1);
        double scale = pow(10, decade - 6), width = 0.9 / parts;
        for (int i = 0; i < parts; i++) positive[count++] = (float)(scale * (0.1 + (i + 0.5) * width));
    }
    positive[count++] = 1;
    t->zero = STEPS - count;
    for (int i = 0; i < count; i++) t->steps[t->zero + i] = positive[i];
    for (int i = 0; i < t->zero; i++) t->steps[i] = -positive[t->zero - i];  // every magnitude but 1 has its negative
    int nearest = 0;
    for (uint32_t bucket = 0; bucket < BUCKETS; bucket++) {
        uint32_t least = LEAST + (bucket << SHIFT), border;
        do {
            border = nearest + 1 < count ? ck_bits_from_float((positive[nearest] + positive[nearest + 1]) * 0.5f) : UINT32_MAX;
        } while (least > border && ++nearest);
        t->nearest[bucket] = (uint32_t)nearest << SHIFT | (border - least < ALL ? border & ALL : ALL);
    }
}

static void fill_tables(void) { fill(&signed_table, 1), fill(&unsigned_table, 0); }

// The numbers of the steps nearest to x[i] / top, counted from that of 0; all three loops but the look-ups vectorise.
CK_INLINE void nearest_steps(const table *t, const float *restrict x, float top, uint32_t *restrict steps) {
    uint32_t bits[BLOCK];
    for (size_t i = 0; i < BLOCK; i++) {
        uint32_t of = ck_bits_from_float(__builtin_elementwise_abs(x[i]) / top);
        of = of < LEAST ? LEAST : of;
        bits[i] = of > MOST ? MOST : of;
    }
    for (size_t i = 0; i < BLOCK; i++) steps[i] = t->nearest[(bits[i] - LEAST) >> SHIFT];
    for (size_t i = 0; i < BLOCK; i++) steps[i] = (steps[i] >> SHIFT) + ((bits[i] & ALL) > (steps[i] & ALL));
}

typedef struct {
    float *master;
    uint8_t *m, *v;
    float *m_scales, *v_scales;
    const float *gradient;
    size_t count;
    ck_adamw_step step;
} arrays;

CK_INLINE void block_body(const arrays *a, size_t index) {
    size_t first = index * BLOCK, count = a->count - first < BLOCK ? a->count - first : BLOCK;
    const ck_adamw_step *s = &a->step;
    const float beta1 = (float)s->beta1, rest1 = (float)(1 - s->beta1), beta2 = (float)s->beta2, rest2 = (float)(1 - s->beta2);
    const float root = (float)sqrt(s->correction2), size = (float)(-s->learning_rate * sqrt(s->correction2) / s->correction1);
    const float epsilon = root * (float)s->epsilon, decay = (float)(1 - s->learning_rate * s->weight_decay), scale = (float)s->gradient_scale;
    float *restrict p = a->master + first, m[BLOCK], v[BLOCK], m_tops[CK_LANES] = {0}, v_tops[CK_LANES] = {0}, m_top = 0, v_top = 0;
    const float *restrict g = a->gradient + first, m_scale = a->m_scales[index], v_scale = a->v_scales[index];
    uint8_t *restrict m_codes = a->m + first, *restrict v_codes = a->v + first;
    for (size_t i = 0; i < BLOCK; i++) m[i] = v[i] = 0;
    for (size_t i = 0; i < count; i++) {
        m[i] = signed_table.steps[m_codes[i]];
        v[i] = unsigned_table.steps[v_codes[i]];
    }
    for (size_t i = 0; i < count; i++) {
        float gradient = g[i] * scale;
        m[i] = m[i] * m_scale * beta1 + rest1 * gradient;
        v[i] = v[i] * v_scale * beta2 + rest2 * gradient * gradient;
    }
    for (size_t i = 0; i < BLOCK; i += CK_LANES)
        for (size_t l = 0; l < CK_LANES; l++) {
            float magnitude = __builtin_elementwise_abs(m[i + l]);
            m_tops[l] = m_tops[l] < magnitude ? magnitude : m_tops[l];
            v_tops[l] = v_tops[l] < v[i + l] ? v[i + l] : v_tops[l];
        }
    for (size_t l = 0; l < CK_LANES; l++) {
        m_top = m_top < m_tops[l] ? m_tops[l] : m_top;
        v_top = v_top < v_tops[l] ? v_tops[l] : v_top;
    }
    for (size_t i = 0; i < count; i++) p[i] = (p[i] + size * (m[i] / (__builtin_elementwise_sqrt(v[i]) + epsilon))) * decay;
    a->m_scales[index] = m_top, a->v_scales[index] = v_top;
    // Where all are 0, so are their quotients.
    if (!(m_top > 0)) m_top = 1;
    if (!(v_top > 0)) v_top = 1;
    uint32_t m_steps[BLOCK], v_steps[BLOCK];
    nearest_steps(&signed_table, m, m_top, m_steps);
    nearest_steps(&unsigned_table, v, v_top, v_steps);
    const uint32_t zero = (uint32_t)signed_table.zero;
    for (size_t i = 0; i < count; i++) {
        // What was negative stays so, at least by the smallest step; -1 itself has none.
        uint32_t step = m_steps[i], below = step < 1 ? 1 : step > zero ? zero : step;
        m_codes[i] = (uint8_t)(m[i] < 0 ? zero - below : zero + step);
        v_codes[i] = (uint8_t)v_steps[i];
    }
}
CK_KERNEL(block, (const arrays *a, size_t index), (a, index))

static void task(void *context, size_t index) {
    const arrays *a = context;
    size_t blocks = (a->count + BLOCK - 1) / BLOCK, first = index * BLOCKS_A_TASK;
    for (size_t b = first; b < blocks && b < first + BLOCKS_A_TASK; b++) CK_CALL(block)(a, b);
}

// Rows of a packed matrix that are moved at a time: whole blocks, and few enough to stay in a cache.
enum { SLAB_ROWS = BLOCK };

size_t ck_adamw_8bit_scratch(ck_master master) {
    return master.values ? 0 : (SLAB_ROWS < master.rows ? SLAB_ROWS : master.rows) * master.columns;
}

void ck_adamw_8bit(
    ck_master master, uint8_t *first_moment, uint8_t *second_moment, float *first_scales, float *second_scales, const float *gradient,
    ck_adamw_step step, float *scratch) {
    pthread_once(&tables_once, fill_tables);
    size_t rows = master.values ? master.rows : SLAB_ROWS;
    for (size_t row = 0; row < master.rows; row += rows) {
        size_t present = master.rows - row < rows ? master.rows - row : rows, first = row * master.columns, count = present * master.columns;
        arrays a = {master.values ? master.values : scratch, first_moment + first, second_moment + first, first_scales + first / BLOCK,
                    second_scales + first / BLOCK, gradient + first, count, step};
        size_t blocks = (count + BLOCK - 1) / BLOCK;
        if (!master.values) ck_master_read(master, scratch, row, present);
        ck_parallel_for((blocks + BLOCKS_A_TASK - 1) / BLOCKS_A_TASK, task, &a);
        if (!master.values) ck_master_write(master, scratch, row, present);
    }
}
