#include "ck_candidates.h"

#include "vector.h"

CK_INLINE void block_maxima_body(float *restrict maxima, const float *restrict x, size_t n, size_t block) {
    for (size_t i = 0; i < n; i += block) *maxima++ = ck_largest(x + i, n - i < block ? n - i : block);
}
CK_KERNEL(block_maxima, (float *restrict maxima, const float *restrict x, size_t n, size_t block), (maxima, x, n, block))

void ck_block_maxima(float *maxima, const float *x, size_t n, size_t block) { CK_CALL(block_maxima)(maxima, x, n, block); }

// Most runs of sixteen hold none.
CK_INLINE void at_least_body(int32_t *restrict indices, const float *restrict x, size_t n, float least, size_t *count) {
    size_t found = 0;
    for (size_t i = 0; i < n; i += CK_LANES) {
        size_t end = n - i < CK_LANES ? n : i + CK_LANES;
        int any = end - i < CK_LANES;
        if (!any)
            for (size_t l = 0; l < CK_LANES; l++) any |= x[i + l] >= least;
        for (size_t j = i; any && j < end; j++)
            if (x[j] >= least) indices[found++] = (int32_t)j;
    }
    *count = found;
}
CK_KERNEL(at_least, (int32_t *restrict indices, const float *restrict x, size_t n, float least, size_t *count),
          (indices, x, n, least, count))

size_t ck_at_least(int32_t *indices, const float *x, size_t n, float least) {
    size_t count;
    CK_CALL(at_least)(indices, x, n, least, &count);
    return count;
}
