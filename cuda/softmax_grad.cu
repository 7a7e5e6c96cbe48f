/// softmax_grad: dx = y (dy - sum(dy y)), a block a row. dx may be the memory of dy.
#pragma once
#include "theseus.h"

KERNEL(softmax_grad) {
    SHARED(float, shared);
    const Operand& y = task.operands[0];
    const float* dy = pointer<float>(task.operands[1]);
    float* dx = pointer<float>(task.operands[2]);
    u64 c = last_dim(y), m = row_count(y);
    for (u64 row = blockIdx.x; row < m; row += gridDim.x) {
        float sum = 0.0f;
        for (u64 i = threadIdx.x; i < c; i += THREADS) sum += load_float(y, row * c + i) * dy[row * c + i];
        sum = block_sum(sum, shared);
        for (u64 i = threadIdx.x; i < c; i += THREADS)
            dx[row * c + i] = load_float(y, row * c + i) * (dy[row * c + i] - sum);
    }
}
