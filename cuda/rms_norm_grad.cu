/// rms_norm_grad: with n = x rstd and g = dy weight: dx = rstd (g - n mean(g n)) (+ residual), dweight = sum of dy n over
/// the rows. The columns come first: dx may be the memory of dy. Words: has_residual.
#pragma once
#include "columns.h"

KERNEL(rms_norm_grad_columns) {
    SHARED(float, shared);
    const Operand* x = task.operands;
    const float *rstd = pointer<float>(x[2]), *dy = pointer<float>(x[3]);
    u64 c = last_dim(*x), m = row_count(*x);
    u64 column = (u64)blockIdx.x * COLUMNS + threadIdx.x % COLUMNS;
    float sum = 0.0f;
    if (column < c)
        for (u64 row = threadIdx.x / COLUMNS; row < m; row += COLUMN_THREADS)
            sum += dy[row * c + column] * load_float(*x, row * c + column) * rstd[row];
    sum = column_sum(sum, shared);
    if (threadIdx.x < COLUMNS && column < c) pointer<float>(x[5 + task.words[0]])[column] = sum;
}

KERNEL(rms_norm_grad) {
    const Operand* x = task.operands;
    bool has_residual = task.words[0] == 1;
    const float *weight = pointer<float>(x[1]), *dy = pointer<float>(x[3]);
    const float* residual = has_residual ? pointer<float>(x[4]) : 0;
    float* dx = pointer<float>(x[4 + has_residual]);
    u64 c = last_dim(*x), m = row_count(*x);
    for (u64 row = warp_index(); row < m; row += warp_count()) {
        float rstd = pointer<float>(x[2])[row], gn_sum = 0.0f;
        for (u64 i = lane(); i < c; i += 32)
            gn_sum += dy[row * c + i] * weight[i] * load_float(*x, row * c + i) * rstd;
        gn_sum = warp_sum(gn_sum) / (float)c;
        for (u64 i = lane(); i < c; i += 32) {
            u64 at = row * c + i;
            float d = rstd * (dy[at] * weight[i] - load_float(*x, at) * rstd * gn_sum);
            dx[at] = residual ? d + residual[at] : d;
        }
    }
}
