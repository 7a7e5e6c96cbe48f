/// The operands of attention and its gradient, and which keys a position sees.
#pragma once
#include "theseus.h"

struct Attention {
    const Operand *q, *k, *v, *documents;
    u64 batches, steps, heads, groups, repeat, size;
    bool causal;
    u64 window;
    float scale;
};

DEV Attention attention_of(const Task& task, u32 documents) {
    const Operand* o = task.operands;
    Attention a = {o, o + 1, o + 2, task.words[1] == 1 ? o + documents : 0};
    a.batches = o->dims[0];
    a.steps = o->dims[1];
    a.heads = o->dims[2];
    a.groups = o[1].dims[2];
    a.repeat = a.heads / a.groups;
    a.size = o->dims[3];
    a.causal = task.words[0] == 1;
    a.window = task.words[2];
    a.scale = float_of(task.words[3]);
    return a;
}

struct AttentionGrad {
    Attention a;
    const Operand *out, *lse, *dout, *dq;
};

DEV AttentionGrad attention_grad_of(const Task& task) {
    const Operand* o = task.operands;
    AttentionGrad g = {attention_of(task, 6), o + 3, o + 4, o + 5, o + 6 + task.words[1]};
    return g;
}

struct Keys {
    u64 start, end;
};

/// Half-open; empty when start >= end.
DEV Keys visible(const Attention& a, u64 batch, u64 step) {
    Keys keys = {0, a.causal ? step + 1 : a.steps};
    if (a.window != 0 && step + 1 > a.window) keys.start = step + 1 - a.window;
    if (a.documents) {
        const u64* strides = a.documents->strides;
        u64 first = pointer<u32>(*a.documents)[batch * strides[0] + step * strides[1]];
        if (first > keys.start) keys.start = first;
    }
    return keys;
}

/// Of the first element of a row of [B, T, H, D].
DEV u64 head_offset(const Operand& o, u64 batch, u64 step, u64 head) {
    return batch * o.strides[0] + step * o.strides[1] + head * o.strides[2];
}

DEV float dot(const Operand& a, u64 a_at, const Operand& b, u64 b_at, u64 size) {
    float sum = 0.0f;
    for (u64 d = 0; d < size; d++) sum = fmaf(load_float(a, a_at + d), load_float(b, b_at + d), sum);
    return sum;
}

/// Dims of a head that one lane may have to sum (size <= 512).
#define HEAD_PARTS 16

/// One query row against a run of keys, flash style, by a warp: a lane a key, then a lane every 32nd dim.
struct QueryRow {
    const Operand *q, *keys, *values;
    u64 q_at, size;
    float scale;
};

/// `weights`: 32 floats of the warp's own. `at` gives the offset of a key's row. Returns the log of the sum of exponentials
/// (-inf where nothing is seen); out[] holds the weighted mean of the values at dims lane + 32 * part.
template <class At>
static __device__ float attend(const QueryRow& row, u64 start, u64 end, At at, float* weights, float* out) {
    float top = -INFINITY, total = 0.0f;
    for (u32 part = 0; part < HEAD_PARTS; part++) out[part] = 0.0f;
    for (u64 first = start; first < end; first += 32) {
        u64 key = first + lane();
        float score = -INFINITY;
        if (key < end) score = dot(*row.q, row.q_at, *row.keys, at(*row.keys, key), row.size) * row.scale;
        float higher = max_float(top, warp_max(score));
        float weight = key < end ? expf(score - higher) : 0.0f;
        float old = top == -INFINITY ? 0.0f : expf(top - higher);
        weights[lane()] = weight;
        total = total * old + warp_sum(weight);
        __syncwarp();
        u64 count = end - first < 32 ? end - first : 32;
        for (u32 part = 0; part < HEAD_PARTS && lane() + part * 32 < row.size; part++) {
            float sum = out[part] * old;
            for (u64 j = 0; j < count; j++) {
                u64 from = at(*row.values, first + j) + lane() + part * 32;
                sum = fmaf(weights[j], load_float(*row.values, from), sum);
            }
            out[part] = sum;
        }
        top = higher;
        __syncwarp();
    }
    for (u32 part = 0; part < HEAD_PARTS; part++) out[part] = total == 0.0f ? 0.0f : out[part] / total;
    return total == 0.0f ? -INFINITY : top + logf(total);
}
