/// What the cross-entropies share: largest logit of a row and sum of exponentials relative to it.
#pragma once
#include "theseus.h"

struct RowSum {
    float top, sum;
};

/// All threads of the block get the row's; `shared` holds WARPS floats.
DEV RowSum row_sum(const Operand& logits, u64 base, u64 classes, float* shared) {
    RowSum r = {-INFINITY, 0.0f};
    for (u64 i = threadIdx.x; i < classes; i += THREADS)
        r.top = max_float(r.top, load_float(logits, base + i));
    r.top = block_max(r.top, shared);
    for (u64 i = threadIdx.x; i < classes; i += THREADS)
        r.sum += expf(load_float(logits, base + i) - r.top);
    r.sum = block_sum(r.sum, shared);
    return r;
}
