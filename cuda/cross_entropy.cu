/// cross_entropy: loss and log-sum-exp, a warp a row. An i32 target of -1 is ignored: loss 0.
#pragma once
#include "logits.h"

KERNEL(cross_entropy) {
    const Operand &logits = task.operands[0], &targets = task.operands[1];
    u64 v = last_dim(logits), m = row_count(logits);
    for (u64 row = warp_index(); row < m; row += warp_count()) {
        RowSum r = row_sum(logits, row * v, v);
        if (lane() != 0) continue;
        i64 target = load_target(task, fault, targets, row, row, v);
        pointer<float>(task.operands[3])[row] = r.top + logf(r.sum);
        pointer<float>(task.operands[2])[row] =
            target < 0 ? 0.0f : r.top - load_float(logits, row * v + target) + logf(r.sum);
    }
}
