/// cross_entropy_grad: dlogits = dloss (exp(logits - lse) - onehot(target)), rows that are ignored are 0. dlogits may be
/// the memory of the logits.
#pragma once
#include "logits.h"

template <bool WIDE> DEV void cross_entropy_grad_rows(const Task& task, Fault* fault) {
    typedef Team<WIDE> T;
    const Operand &logits = task.operands[0], &targets = task.operands[1], &to = task.operands[4];
    for (u64 row = T::first(), m = row_count(logits); row < m; row += T::step()) {
        Logits<WIDE> l = row_of<WIDE>(logits, row, is_aligned(to));
        i64 target = load_target(task, fault, targets, row, row, l.classes);
        float lse = pointer<float>(task.operands[2])[row], dloss = pointer<float>(task.operands[3])[row];
        l.each(floats_of(to), [&](float value, u32 i) {
            float p = expf(value - lse) - (i == (u64)target ? 1.0f : 0.0f);
            return target < 0 ? 0.0f : dloss * p;
        });
    }
}

KERNEL(cross_entropy_grad) {
    if (last_dim(*task.operands) > WIDE_LOGITS) cross_entropy_grad_rows<true>(task, fault);
    else cross_entropy_grad_rows<false>(task, fault);
}
