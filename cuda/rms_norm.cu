/// rms_norm: y = x rstd weight with rstd = 1 / sqrt(mean(x^2) + eps), a block a row. Words: eps.
#pragma once
#include "theseus.h"

KERNEL(rms_norm) {
    SHARED(float, shared);
    const Operand* x = task.operands;
    const float* weight = pointer<float>(x[1]);
    u64 c = last_dim(*x), m = row_count(*x);
    for (u64 row = blockIdx.x; row < m; row += gridDim.x) {
        float squares = 0.0f;
        for (u64 i = threadIdx.x; i < c; i += THREADS) {
            float v = load_float(*x, row * c + i);
            squares += v * v;
        }
        float rstd = 1.0f / sqrtf(block_sum(squares, shared) / (float)c + float_of(task.words[0]));
        if (threadIdx.x == 0) pointer<float>(x[3])[row] = rstd;
        for (u64 i = threadIdx.x; i < c; i += THREADS)
            store_float(x[2], row * c + i, load_float(*x, row * c + i) * rstd * weight[i]);
    }
}
