/// attention, forward: a warp a query row, keys in runs of one a lane.
#pragma once
#include "attention_problem.h"

struct KeyOfSequence {
    u64 batch, group;
    __device__ u64 operator()(const Operand& o, u64 key) const { return head_offset(o, batch, key, group); }
};

KERNEL(attention) {
    SHARED(float, shared);
    float* weights = shared + threadIdx.x / 32 * 32;
    Attention a = attention_of(task, 3);
    const Operand *out = task.operands + 3 + task.words[1], *lse = out + 1;
    u64 total = a.batches * a.heads * a.steps;
    for (u64 index = warp_index(); index < total; index += warp_count()) {
        u64 step = index % a.steps, head = index / a.steps % a.heads, batch = index / a.steps / a.heads;
        Keys keys = visible(a, batch, step);
        QueryRow row = {a.q, a.k, a.v, head_offset(*a.q, batch, step, head), a.size, a.scale};
        KeyOfSequence at = {batch, head / a.repeat};
        float sums[HEAD_PARTS];
        float log_sum = attend(row, keys.start, keys.end, at, weights, sums);
        u64 to = head_offset(*out, batch, step, head);
        for (u32 part = 0; part < HEAD_PARTS && lane() + part * 32 < a.size; part++)
            store_float(*out, to + lane() + part * 32, sums[part]);
        if (lane() == 0) pointer<float>(*lse)[index] = log_sum;
    }
}
