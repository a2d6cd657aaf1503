#include "ck_optimizer.h"

#include <math.h>
#include <stdlib.h>

#include "ck_threads.h"
#include "vector.h"

enum { TASK_ELEMENTS = 1 << 16 };

typedef struct {
    float *m, *v;
    const float *gradient;
    const ck_adamw_step *step;
} adamw;

CK_INLINE void adamw_step_body(
    float *restrict master, float *restrict m, float *restrict v, const float *restrict gradient, size_t count, const ck_adamw_step *step) {
    const float decay = (float)(1 - step->learning_rate * step->weight_decay), rate = (float)(step->learning_rate / step->correction1);
    const float root = (float)sqrt(step->correction2), epsilon = (float)step->epsilon, scale = (float)step->gradient_scale;
    const float beta2 = (float)step->beta2, rest1 = (float)(1 - step->beta1), rest2 = (float)(1 - step->beta2);
    for (size_t i = 0; i < count; i++) {
        float g = gradient[i] * scale;
        m[i] += (g - m[i]) * rest1;
        v[i] = v[i] * beta2 + g * g * rest2;
        master[i] = master[i] * decay - rate * m[i] / (__builtin_elementwise_sqrt(v[i]) / root + epsilon);
    }
}
CK_KERNEL(adamw_step,
          (float *restrict master, float *restrict m, float *restrict v, const float *restrict gradient, size_t count, const ck_adamw_step *step),
          (master, m, v, gradient, count, step))

static void adamw_update(void *context, float *weights, size_t first, size_t count) {
    const adamw *a = context;
    CK_CALL(adamw_step)(weights, a->m + first, a->v + first, a->gradient + first, count, a->step);
}

void ck_adamw(ck_master master, float *first_moment, float *second_moment, const float *gradient, ck_adamw_step step) {
    adamw a = {first_moment, second_moment, gradient, &step};
    ck_master_update(master, adamw_update, &a);
}

typedef struct {
    float *momentum;
    const float *gradient;
    const ck_sgd_step *step;
} sgd;

CK_INLINE void sgd_step_body(
    float *restrict master, float *restrict momentum, const float *restrict gradient, size_t count, const ck_sgd_step *step) {
    const float rate = (float)step->learning_rate, decay = (float)step->weight_decay, scale = (float)step->gradient_scale;
    // The first step's momentum is its gradient.
    const float keep = step->is_first ? 0 : (float)step->momentum, take = step->is_first ? 1 : (float)(1 - step->dampening);
    const float ahead = (float)step->momentum;
    const int is_nesterov = step->is_nesterov;
    for (size_t i = 0; i < count; i++) {
        float g = gradient[i] * scale + decay * master[i];
        if (momentum) {
            momentum[i] = momentum[i] * keep + g * take;
            g = is_nesterov ? g + ahead * momentum[i] : momentum[i];
        }
        master[i] -= rate * g;
    }
}
CK_KERNEL(sgd_step,
          (float *restrict master, float *restrict momentum, const float *restrict gradient, size_t count, const ck_sgd_step *step),
          (master, momentum, gradient, count, step))

static void sgd_update(void *context, float *weights, size_t first, size_t count) {
    const sgd *a = context;
    CK_CALL(sgd_step)(weights, a->momentum ? a->momentum + first : NULL, a->gradient + first, count, a->step);
}

void ck_sgd(ck_master master, float *momentum, const float *gradient, ck_sgd_step step) {
    sgd a = {momentum, gradient, &step};
    ck_master_update(master, sgd_update, &a);
}

typedef struct {
    const float *x;
    size_t count;
    double *partial;
} squares;

CK_INLINE void squares_sum_body(const float *x, size_t count, double *sum) {
    double lanes[CK_LANES] = {0};
    size_t i = 0;
    for (; i + CK_LANES <= count; i += CK_LANES)
        for (size_t l = 0; l < CK_LANES; l++) lanes[l] += (double)x[i + l] * (double)x[i + l];
    for (size_t l = 0; i < count; i++, l++) lanes[l] += (double)x[i] * (double)x[i];
    *sum = 0;
    for (size_t l = 0; l < CK_LANES; l++) *sum += lanes[l];
}
CK_KERNEL(squares_sum, (const float *x, size_t count, double *sum), (x, count, sum))

static void squares_task(void *context, size_t index) {
    const squares *a = context;
    size_t first = index * TASK_ELEMENTS, count = a->count - first < TASK_ELEMENTS ? a->count - first : TASK_ELEMENTS;
    CK_CALL(squares_sum)(a->x + first, count, &a->partial[index]);
}

double ck_sum_of_squares(const float *x, size_t count) {
    size_t tasks = (count + TASK_ELEMENTS - 1) / TASK_ELEMENTS;
    squares a = {.x = x, .count = count, .partial = ck_scratch((tasks + 1) * sizeof(double))};
    ck_parallel_for(tasks, squares_task, &a);
    double sum = 0;
    for (size_t i = 0; i < tasks; i++) sum += a.partial[i];
    return sum;
}
