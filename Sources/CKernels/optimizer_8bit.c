// AdamW whose moments are bytes: each is a step of a table times the largest magnitude of its block (Dettmers et al. 2022, "8-bit Optimizers via
// Block-wise Quantization"; the tables, the block and the order of operations are those of bitsandbytes).
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "ck_optimizer.h"
#include "ck_threads.h"
#include "convert.h"

enum { BLOCK = CK_ADAMW_8BIT_BLOCK, BLOCKS_A_TASK = 256, STEPS = 256 };

// The magnitudes below 2^-23 are nearer to 0 than to any step. Above, seven bits of the fraction leave two steps at most to choose between.
enum { SHIFT = 16, FIRST_BUCKET = (127 - 23) << 7, BUCKETS = (127 << 7) - FIRST_BUCKET + 1 };

// `steps` in rising order; for the magnitudes, which begin at steps[zero], the border below which each is the nearest, and where to begin looking.
typedef struct {
    float steps[STEPS];
    int zero;
    float borders[STEPS];
    uint8_t first[BUCKETS];
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
    for (int i = 0; i + 1 < count; i++) t->borders[i] = (positive[i] + positive[i + 1]) * 0.5f;
    t->borders[count - 1] = INFINITY;
    int nearest = 0;
    for (int bucket = 0; bucket < BUCKETS; bucket++) {
        float least = ck_float_from_bits((uint32_t)(FIRST_BUCKET + bucket) << SHIFT);
        while (least > t->borders[nearest]) nearest++;
        t->first[bucket] = (uint8_t)nearest;
    }
}

static void fill_tables(void) { fill(&signed_table, 1), fill(&unsigned_table, 0); }

// The number of the step nearest to a magnitude of 0 to 1, counted from that of 0.
static inline int nearest_step(const table *t, float magnitude) {
    int bucket = (int)(ck_bits_from_float(magnitude) >> SHIFT) - FIRST_BUCKET;
    if (bucket < 0) return magnitude > t->borders[0] ? 1 : 0;
    int step = t->first[bucket < BUCKETS ? bucket : BUCKETS - 1];
    while (magnitude > t->borders[step]) step++;
    return step;
}

typedef struct {
    float *master;
    uint8_t *m, *v;
    float *m_scales, *v_scales;
    const float *gradient;
    size_t count;
    ck_adamw_step step;
} arrays;

static void block(const arrays *a, size_t index) {
    size_t first = index * BLOCK, count = a->count - first < BLOCK ? a->count - first : BLOCK;
    const ck_adamw_step *s = &a->step;
    const float beta1 = (float)s->beta1, rest1 = (float)(1 - s->beta1), beta2 = (float)s->beta2, rest2 = (float)(1 - s->beta2);
    const float root = (float)sqrt(s->correction2), size = (float)(-s->learning_rate * sqrt(s->correction2) / s->correction1);
    const float epsilon = root * (float)s->epsilon, decay = (float)(1 - s->learning_rate * s->weight_decay), scale = (float)s->gradient_scale;
    float *p = a->master + first, m[BLOCK], v[BLOCK], m_top = 0, v_top = 0;
    const float *g = a->gradient + first;
    uint8_t *m_codes = a->m + first, *v_codes = a->v + first;
    const float m_scale = a->m_scales[index], v_scale = a->v_scales[index];
    for (size_t i = 0; i < count; i++) {
        float gradient = g[i] * scale;
        m[i] = signed_table.steps[m_codes[i]] * m_scale * beta1 + rest1 * gradient;
        v[i] = unsigned_table.steps[v_codes[i]] * v_scale * beta2 + rest2 * gradient * gradient;
    }
    for (size_t i = 0; i < count; i++) {
        m_top = fmaxf(m_top, fabsf(m[i]));
        v_top = fmaxf(v_top, v[i]);
    }
    for (size_t i = 0; i < count; i++) p[i] = (p[i] + size * (m[i] / (sqrtf(v[i]) + epsilon))) * decay;
    a->m_scales[index] = m_top, a->v_scales[index] = v_top;
    for (size_t i = 0; i < count; i++) {
        int step = m_top > 0 ? nearest_step(&signed_table, fabsf(m[i]) / m_top) : 0;
        // What was negative stays so, at least by the smallest step; -1 itself has none.
        if (m[i] < 0) step = step == 0 ? 1 : step > signed_table.zero ? signed_table.zero : step;
        m_codes[i] = (uint8_t)(m[i] < 0 ? signed_table.zero - step : signed_table.zero + step);
        v_codes[i] = (uint8_t)(v_top > 0 ? nearest_step(&unsigned_table, v[i] / v_top) : 0);
    }
}

static void task(void *context, size_t index) {
    const arrays *a = context;
    size_t blocks = (a->count + BLOCK - 1) / BLOCK, first = index * BLOCKS_A_TASK;
    for (size_t b = first; b < blocks && b < first + BLOCKS_A_TASK; b++) block(a, b);
}

// Rows of a packed matrix that are moved at a time: whole blocks, about sixteen megabytes of FP32.
static size_t slab_rows(size_t columns) {
    size_t rows = ((size_t)1 << 22) / columns / BLOCK * BLOCK;
    return rows > 0 ? rows : BLOCK;
}

size_t ck_adamw_8bit_scratch(ck_master master) {
    size_t rows = slab_rows(master.columns);
    return master.values ? 0 : (rows < master.rows ? rows : master.rows) * master.columns;
}

void ck_adamw_8bit(
    ck_master master, uint8_t *first_moment, uint8_t *second_moment, float *first_scales, float *second_scales, const float *gradient,
    ck_adamw_step step, float *scratch) {
    pthread_once(&tables_once, fill_tables);
    size_t rows = master.values ? master.rows : slab_rows(master.columns);
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
