/// layer_norm: y = (x - mean) rstd weight + bias, see norm.h. Words: eps, has_bias.
#pragma once
#include "norm.h"

DEV Norm layer_norm_of(const Task& task) {
    bool has_bias = task.words[1] == 1;
    const Operand *x = task.operands, *y = x + 2 + has_bias;
    Norm n = {};
    n.x = floats_of(*x);
    n.y = floats_of(*y);
    n.weight = floats_of(x[1]);
    n.has_bias = has_bias;
    if (has_bias) n.bias = floats_of(x[2]);
    n.mean = pointer<float>(y[1]);
    n.rstd = pointer<float>(y[2]);
    n.eps = float_of(task.words[0]);
    n.m = row_count(*x);
    n.c = (u32)last_dim(*x);
    n.aligned = n.c % QUAD == 0 && is_aligned(*x) && is_aligned(x[1]) && is_aligned(*y);
    if (has_bias) n.aligned = n.aligned && is_aligned(x[2]);
    return n;
}

NORM_KERNELS(layer_norm, true)
