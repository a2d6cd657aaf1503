// AdamW over FP32 master weights, and the norm of a gradient.
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

// The sum of squares in FP64, in one order whatever the number of threads.
double ck_sum_of_squares(const float *_Nonnull x, size_t count);

#endif
