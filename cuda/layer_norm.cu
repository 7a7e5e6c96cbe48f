/// layer_norm: y = (x - mean) rstd weight + bias, a warp a row. Words: eps, has_bias.
#pragma once
#include "theseus.h"

KERNEL(layer_norm) {
    bool has_bias = task.words[1] == 1;
    const Operand *x = task.operands, *y = x + 2 + has_bias;
    const float* weight = pointer<float>(x[1]);
    const float* bias = has_bias ? pointer<float>(x[2]) : 0;
    u64 c = last_dim(*x), m = row_count(*x);
    float eps = float_of(task.words[0]);
    for (u64 row = warp_index(); row < m; row += warp_count()) {
        float sum = 0.0f, squares = 0.0f;
        for (u64 i = lane(); i < c; i += 32) sum += load_float(*x, row * c + i);
        float mean = warp_sum(sum) / (float)c;
        for (u64 i = lane(); i < c; i += 32) {
            float d = load_float(*x, row * c + i) - mean;
            squares += d * d;
        }
        float rstd = 1.0f / sqrtf(warp_sum(squares) / (float)c + eps);
        if (lane() == 0) {
            pointer<float>(y[1])[row] = mean;
            pointer<float>(y[2])[row] = rstd;
        }
        for (u64 i = lane(); i < c; i += 32) {
            float n = (load_float(*x, row * c + i) - mean) * rstd;
            store_float(*y, row * c + i, n * weight[i] + (bias ? bias[i] : 0.0f));
        }
    }
}
