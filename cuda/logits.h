/// What the cross-entropies share: largest logit of a row and sum of exponentials relative to it.
#pragma once
#include "theseus.h"

struct RowSum {
    float top, sum;
};

/// All lanes of the warp get the row's.
DEV RowSum row_sum(const Operand& logits, u64 base, u64 classes) {
    RowSum r = {-INFINITY, 0.0f};
    for (u64 i = lane(); i < classes; i += 32)
        r.top = max_float(r.top, load_float(logits, base + i));
    r.top = warp_max(r.top);
    for (u64 i = lane(); i < classes; i += 32)
        r.sum += expf(load_float(logits, base + i) - r.top);
    r.sum = warp_sum(r.sum);
    return r;
}
