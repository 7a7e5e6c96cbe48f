/// rms_norm_grad, see norm_grad.h. dx may be the memory of dy or of the residual. Words: has_residual.
#pragma once
#include "norm_grad.h"

DEV NormGrad rms_norm_grad_of(const Task& task) {
    const Operand* x = task.operands;
    NormGrad n = {};
    n.adds = task.words[0] == 1;
    const Operand *dx = x + 4 + n.adds, *workspace = x + task.operand_count - 1;
    n.x = floats_of(x[0]);
    n.weight = floats_of(x[1]);
    n.rstd = pointer<float>(x[2]);
    n.dy = floats_of(x[3]);
    if (n.adds) n.residual = floats_of(x[4]);
    n.dx = floats_of(*dx);
    n.partial = pointer<float>(*workspace);
    n.sums = 1;
    n.m = row_count(*x);
    n.c = (u32)last_dim(*x);
    n.aligned = n.c % QUAD == 0 && is_aligned(x[0]) && is_aligned(x[1]) && is_aligned(x[3]) && is_aligned(*dx);
    if (n.adds) n.aligned = n.aligned && is_aligned(x[4]);
    return n;
}

NORM_GRAD_KERNELS(rms_norm_grad, false)
