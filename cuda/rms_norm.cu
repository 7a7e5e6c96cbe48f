/// rms_norm: y = x rstd weight with rstd = 1 / sqrt(mean(x^2) + eps), a warp a row. Words: eps.
#pragma once
#include "theseus.h"

KERNEL(rms_norm) {
    const Operand* x = task.operands;
    const float* weight = pointer<float>(x[1]);
    u64 c = last_dim(*x), m = row_count(*x);
    for (u64 row = warp_index(); row < m; row += warp_count()) {
        float squares = 0.0f;
        for (u64 i = lane(); i < c; i += 32) {
            float v = load_float(*x, row * c + i);
            squares += v * v;
        }
        float rstd = 1.0f / sqrtf(warp_sum(squares) / (float)c + float_of(task.words[0]));
        if (lane() == 0) pointer<float>(x[3])[row] = rstd;
        for (u64 i = lane(); i < c; i += 32)
            store_float(x[2], row * c + i, load_float(*x, row * c + i) * rstd * weight[i]);
    }
}
