/// attention_cached: new tokens attend to the places of their rows in a cache [R, G, S, D]; a warp a query row. A slot
/// below 0 gives zeros; a row or slot that the cache does not have fails the program. Words: window, scale, compute.
#pragma once
#include "attention_problem.h"

struct KeyOfCache {
    u64 row, group;
    __device__ u64 operator()(const Operand& o, u64 key) const {
        return row * o.strides[0] + group * o.strides[1] + key * o.strides[2];
    }
};

KERNEL(attention_cached) {
    SHARED(float, shared);
    float* weights = shared + threadIdx.x / 32 * 32;
    const Operand *q = task.operands, *k = q + 1, *v = q + 2, *out = q + 5;
    u64 batches = q->dims[0], steps = q->dims[1], heads = q->dims[2], size = q->dims[3];
    u64 repeat = heads / k->dims[1], window = task.words[0];
    u64 total = batches * steps * heads;
    for (u64 index = warp_index(); index < total; index += warp_count()) {
        u64 head = index % heads, step = index / heads % steps, batch = index / heads / steps;
        i64 row = load_index(q[3], batch), slot = load_index(q[4], batch * steps + step);
        if (row < 0 || row >= (i64)k->dims[0]) {
            fail(task, fault, batch, row);
            slot = -1;
        } else if (slot >= (i64)k->dims[2]) {
            fail(task, fault, batch * steps + step, slot);
            slot = -1;
        }
        u64 end = (u64)(slot + 1), start = window != 0 && end > window ? end - window : 0;
        QueryRow query = {q, k, v, head_offset(*q, batch, step, head), size, float_of(task.words[1])};
        KeyOfCache at = {(u64)row, head / repeat};
        float sums[HEAD_PARTS];
        attend(query, slot < 0 ? 0 : start, slot < 0 ? 0 : end, at, weights, sums);
        u64 to = head_offset(*out, batch, step, head);
        for (u32 part = 0; part < HEAD_PARTS && lane() + part * 32 < size; part++)
            store_float(*out, to + lane() + part * 32, sums[part]);
    }
}
