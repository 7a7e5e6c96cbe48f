/// layer_norm_grad: with n = (x - mean) rstd and g = dy weight: dx = rstd (g - mean(g) - n mean(g n)) (+ residual),
/// dweight = sum of dy n over the rows, dbias = sum of dy. The columns come first: dx may be the memory of dy.
/// Words: has_bias, has_residual.
#pragma once
#include "columns.h"

KERNEL(layer_norm_grad_columns) {
    SHARED(float, shared);
    const Operand *x = task.operands, *dweight = x + 6 + task.words[1];
    bool has_bias = task.words[0] == 1;
    const float *mean = pointer<float>(x[2]), *rstd = pointer<float>(x[3]), *dy = pointer<float>(x[4]);
    u64 c = last_dim(*x), m = row_count(*x);
    u64 column = (u64)blockIdx.x * COLUMNS + threadIdx.x % COLUMNS;
    float weight_sum = 0.0f, bias_sum = 0.0f;
    if (column < c)
        for (u64 row = threadIdx.x / COLUMNS; row < m; row += COLUMN_THREADS) {
            float g = dy[row * c + column];
            weight_sum += g * (load_float(*x, row * c + column) - mean[row]) * rstd[row];
            bias_sum += g;
        }
    weight_sum = column_sum(weight_sum, shared);
    bias_sum = column_sum(bias_sum, shared);
    if (threadIdx.x >= COLUMNS || column >= c) return;
    pointer<float>(dweight[0])[column] = weight_sum;
    if (has_bias) pointer<float>(dweight[1])[column] = bias_sum;
}

KERNEL(layer_norm_grad) {
    const Operand* x = task.operands;
    bool has_residual = task.words[1] == 1;
    const float *weight = pointer<float>(x[1]), *dy = pointer<float>(x[4]);
    const float* residual = has_residual ? pointer<float>(x[5]) : 0;
    float* dx = pointer<float>(x[5 + has_residual]);
    u64 c = last_dim(*x), m = row_count(*x);
    for (u64 row = warp_index(); row < m; row += warp_count()) {
        float mean = pointer<float>(x[2])[row], rstd = pointer<float>(x[3])[row];
        float g_sum = 0.0f, gn_sum = 0.0f;
        for (u64 i = lane(); i < c; i += 32) {
            float g = dy[row * c + i] * weight[i];
            g_sum += g;
            gn_sum += g * (load_float(*x, row * c + i) - mean) * rstd;
        }
        g_sum = warp_sum(g_sum) / (float)c;
        gn_sum = warp_sum(gn_sum) / (float)c;
        for (u64 i = lane(); i < c; i += 32) {
            u64 at = row * c + i;
            float n = (load_float(*x, at) - mean) * rstd;
            float d = rstd * (dy[at] * weight[i] - g_sum - n * gn_sum);
            dx[at] = residual ? d + residual[at] : d;
        }
    }
}
