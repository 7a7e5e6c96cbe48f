/// cross_entropy: loss and log-sum-exp, a team a row. An i32 target of -1 is ignored: loss 0.
#pragma once
#include "logits.h"

template <bool WIDE> DEV void cross_entropy_rows(const Task& task, Fault* fault, float* shared) {
    typedef Team<WIDE> T;
    const Operand &logits = task.operands[0], &targets = task.operands[1];
    for (u64 row = T::first(), m = row_count(logits); row < m; row += T::step()) {
        Logits<WIDE> l = row_of<WIDE>(logits, row, true);
        Partition p = l.partition(shared);
        if (T::rank() != 0) continue;
        i64 target = load_target(task, fault, targets, row, row, l.classes);
        pointer<float>(task.operands[3])[row] = p.top + logf(p.sum);
        pointer<float>(task.operands[2])[row] =
            target < 0 ? 0.0f : p.top - load1(l.x, l.base + (u64)target) + logf(p.sum);
    }
}

KERNEL(cross_entropy) {
    SHARED(float, shared);
    if (last_dim(*task.operands) > WIDE_LOGITS) cross_entropy_rows<true>(task, fault, shared);
    else cross_entropy_rows<false>(task, fault, shared);
}
