/// linear_cross_entropy and its gradient take rows in chunks: products put a chunk's logits into the workspace, the kernels here
/// turn them into losses (and, in place, into dlogits), products make dx and dw of those. A row is read once for its largest
/// logit and the sum of exponentials together, and once more, from its end, for the gradient: that comes from the cache.
/// Operands: logits [rows, V] (rows may be apart), targets [rows], loss, lse (, dloss). Words: first row of the chunk.
#pragma once
#include "logits.h"

template <bool WIDE> static __device__ void loss_rows(const Task& task, Fault* fault, bool grad, float* shared) {
    typedef Team<WIDE> T;
    const Operand &logits = task.operands[0], &targets = task.operands[1];
    u64 m = logits.dims[0], apart = logits.strides[0];
    u32 v = logits.dims[1];
    bool aligned = is_aligned(logits) && apart % QUAD == 0;
    for (u64 row = T::first(); row < m; row += T::step()) {
        Logits<WIDE> l = {floats_of(logits), row * apart, v, aligned ? v / QUAD * QUAD : 0};
        i64 target = load_target(task, fault, targets, row, task.words[0] + row, v);
        float chosen = target < 0 ? 0.0f : load1(l.x, l.base + (u64)target);
        Partition p = l.partition(shared);
        if (T::rank() == 0) {
            pointer<float>(task.operands[3])[row] = p.top + logf(p.sum);
            pointer<float>(task.operands[2])[row] = target < 0 ? 0.0f : p.top - chosen + logf(p.sum);
        }
        if (!grad) continue;
        // All have read the target's logit.
        __syncwarp();
        if (target < 0) l.clear();
        else l.differentiate(p, (u32)target, pointer<float>(task.operands[4])[row]);
    }
}

DEV void chunk_loss(const Task& task, Fault* fault, bool grad, float* shared) {
    if (task.operands[0].dims[1] > WIDE_LOGITS) loss_rows<true>(task, fault, grad, shared);
    else loss_rows<false>(task, fault, grad, shared);
}

KERNEL(linear_cross_entropy) {
    SHARED(float, shared);
    chunk_loss(task, fault, false, shared);
}
