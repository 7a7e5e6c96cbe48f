/// linear_cross_entropy and its gradient take rows in chunks: `matmul` puts a chunk's logits into the workspace, the
/// kernels here turn them into losses (and, in place, into dlogits), `matmul` makes dx and dw of those.
/// Operands: logits [rows, V], targets [rows], loss, lse (, dloss). Words: first row of the chunk.
#pragma once
#include "logits.h"

DEV void chunk_loss(const Task& task, Fault* fault, bool grad) {
    const Operand &logits = task.operands[0], &targets = task.operands[1];
    u64 v = last_dim(logits), m = row_count(logits);
    for (u64 row = warp_index(); row < m; row += warp_count()) {
        RowSum r = row_sum(logits, row * v, v);
        i64 target = load_target(task, fault, targets, row, task.words[0] + row, v);
        if (lane() == 0) {
            pointer<float>(task.operands[3])[row] = r.top + logf(r.sum);
            pointer<float>(task.operands[2])[row] =
                target < 0 ? 0.0f : r.top - load_float(logits, row * v + target) + logf(r.sum);
        }
        if (!grad) continue;
        __syncwarp();
        float dloss = pointer<float>(task.operands[4])[row];
        for (u64 i = lane(); i < v; i += 32) {
            float p = expf(load_float(logits, row * v + i) - r.top) / r.sum - (i == (u64)target ? 1.0f : 0.0f);
            store_float(logits, row * v + i, target < 0 ? 0.0f : dloss * p);
        }
    }
}

KERNEL(linear_cross_entropy) {
    chunk_loss(task, fault, false);
}
