/// matmul_epilogue: what cuBLASLt's own epilogues leave over of `matmul`: out = cast(act(x + bias) * act'(aux) + residual), from
/// the product x, which is in the place of out or of the value before the activation. Four columns a thread where rows allow.
/// Operands: x, then by flags bias, residual, aux, then out, and the value to keep. Words: flags, activation.
#pragma once
#include "activation.h"
#include "matmul.cu"
#include "vector.h"

struct Rest {
    const Operand *x, *bias, *residual, *aux_in, *out, *aux_out;
    u32 flags, activation;
    u32 m, n;
    /// x is where the value before the activation is kept, and is that value.
    bool is_kept;
};

DEV Rest rest_of(const Task& task) {
    Rest r = {};
    r.flags = task.words[0];
    r.activation = task.words[1];
    const Operand* next = task.operands;
    r.x = next++;
    if (r.flags & BIAS) r.bias = next++;
    if (r.flags & RESIDUAL) r.residual = next++;
    if (r.flags & ACTIVATION_GRAD) r.aux_in = next++;
    r.out = next++;
    if (r.flags & SAVE_AUX) r.aux_out = next++;
    r.m = r.out->dims[1];
    r.n = r.out->dims[2];
    r.is_kept = r.aux_out && !r.bias && r.aux_out->data == r.x->data;
    return r;
}

/// Whether quads of columns lie in one piece everywhere.
DEV bool rest_in_quads(const Rest& r) {
    const Operand* all[] = {r.x, r.bias, r.residual, r.aux_in, r.out, r.aux_out};
    for (const Operand* each : all) {
        if (!each) continue;
        if (!is_aligned(*each)) return false;
        if (each->rank == 3 && (each->strides[2] != 1 || (each->strides[0] | each->strides[1]) % QUAD != 0))
            return false;
    }
    return r.n % QUAD == 0;
}

/// COUNT neighbouring elements, element by element or at once.
template <int COUNT> static __device__ __forceinline__ void rest_load(const Operand& o, u64 at, float* to) {
    if (COUNT == QUAD) load4(floats_of(o), at, to);
    else *to = load_float(o, at);
}
template <int COUNT> static __device__ __forceinline__ void rest_store(const Operand& o, u64 at, const float* from) {
    if (COUNT == QUAD) store4(floats_of(o), at, from);
    else store_float(o, at, *from);
}

template <int COUNT> static __device__ __forceinline__ void rest_at(const Rest& r, u64 flat) {
    u64 line = divide(flat, r.n), batch = divide(line, r.m), column = flat - line * r.n, row = line - batch * r.m;
    const u64 *from = r.x->strides, *to = r.out->strides;
    float value[COUNT], other[COUNT];
    rest_load<COUNT>(*r.x, batch * from[0] + row * from[1] + column * from[2], value);
    if (r.bias) {
        rest_load<COUNT>(*r.bias, column, other);
        for (int i = 0; i < COUNT; i++) value[i] += other[i];
    }
    if (r.aux_out && !r.is_kept) rest_store<COUNT>(*r.aux_out, flat, value);
    if (r.flags & ACTIVATION)
        for (int i = 0; i < COUNT; i++) value[i] = activate(r.activation, value[i]);
    if (r.aux_in) {
        rest_load<COUNT>(*r.aux_in, flat, other);
        for (int i = 0; i < COUNT; i++) value[i] *= activation_slope(r.activation, other[i]);
    }
    if (r.residual) {
        rest_load<COUNT>(*r.residual, flat, other);
        for (int i = 0; i < COUNT; i++) value[i] += other[i];
    }
    rest_store<COUNT>(*r.out, batch * to[0] + row * to[1] + column * to[2], value);
}

KERNEL(matmul_epilogue) {
    Rest r = rest_of(task);
    u64 count = count_of(*r.out);
    if (rest_in_quads(r)) {
        for (u64 i = thread_index(); i < count / QUAD; i += thread_count()) rest_at<QUAD>(r, i * QUAD);
    } else {
        for (u64 i = thread_index(); i < count; i += thread_count()) rest_at<1>(r, i);
    }
}

/// bias_bf16: a bias in the dtype in which cuBLASLt wants it for a bf16 result. Operands: f32 [N], bf16 [N].
KERNEL(bias_bf16) {
    u64 count = count_of(task.operands[0]);
    for (u64 i = thread_index(); i < count; i += thread_count())
        pointer<u16>(task.operands[1])[i] = bf16_of(pointer<float>(task.operands[0])[i]);
}
