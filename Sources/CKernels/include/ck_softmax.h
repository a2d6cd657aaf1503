// Log-probabilities and entropies over a vocabulary, their gradients, and sampling.
#ifndef CK_SOFTMAX_H
#define CK_SOFTMAX_H

#include <stddef.h>
#include <stdint.h>

// For each row z = logits[r] * inverse_temperature: lse[r] = log sum exp z, and where not null logprob[r] = z[targets[r]] - lse[r] and
// entropy[r] = -sum p log p (natural logarithms).
void ck_log_softmax(
    const float *_Nonnull logits, size_t rows, size_t n, float inverse_temperature, const int32_t *_Nullable targets, float *_Nonnull lse,
    float *_Nullable logprob, float *_Nullable entropy);

// gradient[rows][n] = columns [first, first + n) of that of sum over r of dlogprob[r] * logprob[r] + dentropy[r] * entropy[r], given what ck_log_softmax
// found of whole rows; logits[r] points at column `first` of a row, which the gradient may replace.
void ck_log_softmax_backward(
    float *_Nonnull gradient, const float *_Nonnull const *_Nonnull logits, size_t rows, size_t first, size_t n, float inverse_temperature,
    const int32_t *_Nonnull targets, const float *_Nonnull lse, const float *_Nonnull entropy, const float *_Nonnull dlogprob,
    const float *_Nullable dentropy);

// For each row of two sets of logits, given what ck_log_softmax found: divergence[r] = sum of p (log p - log q), and whether both are largest at the
// same (least) index.
void ck_divergence(
    const float *_Nonnull p, const float *_Nonnull p_lse, const float *_Nonnull q, const float *_Nonnull q_lse, size_t rows, size_t n,
    float *_Nonnull divergence, uint8_t *_Nonnull agrees);

// For each row the least index at which the cumulative probability exceeds uniform[r], a number in [0, 1), and what ck_log_softmax would tell of it.
void ck_sample(
    int32_t *_Nonnull out, const float *_Nonnull logits, size_t rows, size_t n, float inverse_temperature, const double *_Nonnull uniform,
    float *_Nonnull lse, float *_Nonnull logprob, float *_Nullable entropy);

// For each row the least index of the largest logit.
void ck_argmax(int32_t *_Nonnull out, const float *_Nonnull logits, size_t rows, size_t n);

#endif
