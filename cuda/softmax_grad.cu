/// softmax_grad: dx = y (dy - sum(dy y)), a warp a row. dx may be the memory of dy.
#pragma once
#include "theseus.h"

KERNEL(softmax_grad) {
    const Operand& y = task.operands[0];
    const float* dy = pointer<float>(task.operands[1]);
    float* dx = pointer<float>(task.operands[2]);
    u64 c = last_dim(y), m = row_count(y);
    for (u64 row = warp_index(); row < m; row += warp_count()) {
        float sum = 0.0f;
        for (u64 i = lane(); i < c; i += 32) sum += load_float(y, row * c + i) * dy[row * c + i];
        sum = warp_sum(sum);
        for (u64 i = lane(); i < c; i += 32)
            dx[row * c + i] = load_float(y, row * c + i) * (dy[row * c + i] - sum);
    }
}
