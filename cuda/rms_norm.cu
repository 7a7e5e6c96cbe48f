/// rms_norm: y = x rstd weight with rstd = 1 / sqrt(mean(x^2) + eps), see norm.h. Words: eps.
#pragma once
#include "norm.h"

DEV Norm rms_norm_of(const Task& task) {
    const Operand* x = task.operands;
    Norm n = {};
    n.x = floats_of(*x);
    n.y = floats_of(x[2]);
    n.weight = floats_of(x[1]);
    n.rstd = pointer<float>(x[3]);
    n.eps = float_of(task.words[0]);
    n.m = row_count(*x);
    n.c = (u32)last_dim(*x);
    n.aligned = n.c % QUAD == 0 && is_aligned(*x) && is_aligned(x[1]) && is_aligned(x[2]);
    return n;
}

NORM_KERNELS(rms_norm, false)
