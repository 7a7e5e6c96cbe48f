/// matmul_epilogue: what cuBLASLt's own epilogues leave over of `matmul`: out = cast(act(x + bias) * act'(aux) + residual), from
/// the product x, which is in the place of out or of the value before the activation.
/// Operands: x, then by flags bias, residual, aux, then out, and the value to keep. Words: flags, activation.
#pragma once
#include "activation.h"
#include "matmul.cu"

DEV u64 epilogue_offset(const Operand& o, u64 batch, u64 row, u64 column) {
    return batch * o.strides[0] + row * o.strides[1] + column * o.strides[2];
}

KERNEL(matmul_epilogue) {
    u32 flags = task.words[0], activation = task.words[1];
    const Operand *next = task.operands, *x = next++;
    const Operand* bias = flags & BIAS ? next++ : 0;
    const Operand* residual = flags & RESIDUAL ? next++ : 0;
    const Operand* aux_in = flags & ACTIVATION_GRAD ? next++ : 0;
    const Operand* out = next++;
    const Operand* aux_out = flags & SAVE_AUX ? next++ : 0;
    u64 m = out->dims[1], n = out->dims[2], count = count_of(*out);
    for (u64 flat = thread_index(); flat < count; flat += thread_count()) {
        u64 column = flat % n, row = flat / n % m, batch = flat / n / m;
        float value = load_float(*x, epilogue_offset(*x, batch, row, column));
        if (bias) value += load_float(*bias, column);
        if (aux_out && (bias || aux_out->data != x->data)) store_float(*aux_out, flat, value);
        if (flags & ACTIVATION) value = activate(activation, value);
        if (aux_in) value *= activation_slope(activation, load_float(*aux_in, flat));
        if (residual) value += load_float(*residual, flat);
        store_float(*out, epilogue_offset(*out, batch, row, column), value);
    }
}

/// bias_bf16: a bias in the dtype in which cuBLASLt wants it for a bf16 result. Operands: f32 [N], bf16 [N].
KERNEL(bias_bf16) {
    u64 count = count_of(task.operands[0]);
    for (u64 i = thread_index(); i < count; i += thread_count())
        pointer<u16>(task.operands[1])[i] = bf16_of(pointer<float>(task.operands[0])[i]);
}
