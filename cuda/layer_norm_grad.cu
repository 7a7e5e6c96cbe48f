/// layer_norm_grad, see norm_grad.h. dx may be the memory of dy or of the residual. Words: has_bias, has_residual.
#pragma once
#include "norm_grad.h"

DEV NormGrad layer_norm_grad_of(const Task& task) {
    const Operand* x = task.operands;
    NormGrad n = {};
    n.has_bias = task.words[0] == 1;
    n.adds = task.words[1] == 1;
    const Operand *dx = x + 5 + n.adds, *workspace = x + task.operand_count - 1;
    n.x = floats_of(x[0]);
    n.weight = floats_of(x[1]);
    n.mean = pointer<float>(x[2]);
    n.rstd = pointer<float>(x[3]);
    n.dy = floats_of(x[4]);
    if (n.adds) n.residual = floats_of(x[5]);
    n.dx = floats_of(*dx);
    n.partial = pointer<float>(*workspace);
    n.sums = 1 + n.has_bias;
    n.m = row_count(*x);
    n.c = (u32)last_dim(*x);
    n.aligned = n.c % QUAD == 0 && is_aligned(x[0]) && is_aligned(x[1]) && is_aligned(x[4]) && is_aligned(*dx);
    if (n.adds) n.aligned = n.aligned && is_aligned(x[5]);
    return n;
}

NORM_GRAD_KERNELS(layer_norm_grad, true)
