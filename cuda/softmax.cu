/// softmax over the last dim, a team a row. The result may be the memory of the input.
#pragma once
#include "logits.h"

template <bool WIDE> DEV void softmax_rows(const Operand& x, const Operand& y, float* shared) {
    typedef Team<WIDE> T;
    for (u64 row = T::first(), m = row_count(x); row < m; row += T::step()) {
        Logits<WIDE> l = row_of<WIDE>(x, row, is_aligned(y));
        Partition p = l.partition(shared);
        float scale = 1.0f / p.sum;
        l.each(floats_of(y), [&](float value, u32) { return expf(value - p.top) * scale; });
    }
}

KERNEL(softmax) {
    SHARED(float, shared);
    if (last_dim(*task.operands) > WIDE_LOGITS) softmax_rows<true>(task.operands[0], task.operands[1], shared);
    else softmax_rows<false>(task.operands[0], task.operands[1], shared);
}
