// AdamW and SGD over FP32 master weights, and the norm of a gradient.
#ifndef CK_OPTIMIZER_H
#define CK_OPTIMIZER_H

#include <stddef.h>
#include <stdint.h>

#include "ck_master.h"

// In FP64, as PyTorch holds them: 1 - beta2 made from an FP32 beta2 of 0.999 would be off by 1e-5.
typedef struct {
    double learning_rate, beta1, beta2, epsilon, weight_decay;
    double gradient_scale;            // multiplies every gradient: clipping
    double correction1, correction2;  // 1 - beta1^t and 1 - beta2^t at step t = 1, 2, ...
} ck_adamw_step;

// One step of AdamW (Loshchilov and Hutter 2019, in PyTorch's order of operations); moments and gradient are [rows][columns].
void ck_adamw(
    ck_master master, float *_Nonnull first_moment, float *_Nonnull second_moment, const float *_Nonnull gradient, ck_adamw_step step);

// Moments of this many parameters share a scale.
enum { CK_ADAMW_8BIT_BLOCK = 256 };

// The same with moments of one byte, in bitsandbytes' arithmetic: a byte a weight each, and a scale a block; all zero before the first step. For
// packed masters `scratch` has room for ck_adamw_8bit_scratch of them.
void ck_adamw_8bit(
    ck_master master, uint8_t *_Nonnull first_moment, uint8_t *_Nonnull second_moment, float *_Nonnull first_scales,
    float *_Nonnull second_scales, const float *_Nonnull gradient, ck_adamw_step step, float *_Nullable scratch);
size_t ck_adamw_8bit_scratch(ck_master master);

typedef struct {
    double learning_rate, momentum, dampening, weight_decay;
    double gradient_scale;  // multiplies every gradient: clipping
    int is_nesterov, is_first;
} ck_sgd_step;

// One step of stochastic gradient descent, as torch.optim.SGD takes it; `momentum` may be NULL when step.momentum is 0.
void ck_sgd(ck_master master, float *_Nullable momentum, const float *_Nonnull gradient, ck_sgd_step step);

// The sum of squares in FP64, in one order whatever the number of threads.
double ck_sum_of_squares(const float *_Nonnull x, size_t count);

#endif
