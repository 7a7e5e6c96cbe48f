/// cross_entropy_grad: dlogits = dloss (exp(logits - lse) - onehot(target)), rows that are ignored are 0. dlogits may be
/// the memory of the logits.
#pragma once
#include "logits.h"

KERNEL(cross_entropy_grad) {
    const Operand &logits = task.operands[0], &targets = task.operands[1];
    float* dlogits = pointer<float>(task.operands[4]);
    u64 v = last_dim(logits), m = row_count(logits);
    for (u64 row = warp_index(); row < m; row += warp_count()) {
        i64 target = load_target(task, fault, targets, row, row, v);
        float lse = pointer<float>(task.operands[2])[row], dloss = pointer<float>(task.operands[3])[row];
        for (u64 i = lane(); i < v; i += 32) {
            float p = expf(load_float(logits, row * v + i) - lse) - (i == (u64)target ? 1.0f : 0.0f);
            dlogits[row * v + i] = target < 0 ? 0.0f : dloss * p;
        }
    }
}
