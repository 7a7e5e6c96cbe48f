/// attention, backward: weights come again from lse; ds = p (dout.v - sum(dout out)). A warp makes one row of dq, or one
/// row each of dk and dv; sums go over keys or queries in order.
#pragma once
#include "attention_problem.h"

struct Weight {
    float p, ds;
};

/// Of one query row and one key row.
DEV Weight weight_of(const AttentionGrad& g, u64 batch, u64 head, u64 query, u64 key, float delta) {
    const Attention& a = g.a;
    u64 group = head / a.repeat;
    u64 k_at = head_offset(*a.k, batch, key, group), v_at = head_offset(*a.v, batch, key, group);
    float lse = pointer<float>(*g.lse)[(batch * a.heads + head) * a.steps + query];
    float score = dot(*a.q, head_offset(*a.q, batch, query, head), *a.k, k_at, a.size) * a.scale;
    float dp = dot(*g.dout, head_offset(*g.dout, batch, query, head), *a.v, v_at, a.size);
    Weight w;
    w.p = expf(score - lse);
    w.ds = w.p * (dp - delta);
    return w;
}

DEV float delta_of(const AttentionGrad& g, u64 batch, u64 head, u64 query) {
    u64 from = head_offset(*g.dout, batch, query, head);
    return dot(*g.dout, from, *g.out, head_offset(*g.out, batch, query, head), g.a.size);
}

KERNEL(attention_grad_queries) {
    SHARED(float, shared);
    float* scores = shared + threadIdx.x / 32 * 32;
    AttentionGrad g = attention_grad_of(task);
    const Attention& a = g.a;
    u64 total = a.batches * a.heads * a.steps;
    for (u64 index = warp_index(); index < total; index += warp_count()) {
        u64 step = index % a.steps, head = index / a.steps % a.heads, batch = index / a.steps / a.heads;
        Keys keys = visible(a, batch, step);
        float delta = delta_of(g, batch, head, step), sums[HEAD_PARTS] = {};
        for (u64 first = keys.start; first < keys.end; first += 32) {
            u64 key = first + lane();
            scores[lane()] = key < keys.end ? weight_of(g, batch, head, step, key, delta).ds : 0.0f;
            __syncwarp();
            u64 count = keys.end - first < 32 ? keys.end - first : 32;
            for (u32 part = 0; part < HEAD_PARTS; part++) {
                u64 d = lane() + part * 32;
                if (d >= a.size) break;
                for (u64 j = 0; j < count; j++) {
                    u64 from = head_offset(*a.k, batch, first + j, head / a.repeat) + d;
                    sums[part] = fmaf(scores[j], load_float(*a.k, from), sums[part]);
                }
            }
            __syncwarp();
        }
        u64 to = head_offset(*g.dq, batch, step, head);
        for (u32 part = 0; part < HEAD_PARTS && lane() + part * 32 < a.size; part++)
            store_float(*g.dq, to + lane() + part * 32, sums[part] * a.scale);
    }
}

KERNEL(attention_grad_keys) {
    SHARED(float, shared);
    float *weights = shared + threadIdx.x / 32 * 64, *scores = weights + 32;
    AttentionGrad g = attention_grad_of(task);
    const Attention& a = g.a;
    const Operand *dk = g.dq + 1, *dv = g.dq + 2;
    u64 total = a.batches * a.groups * a.steps;
    for (u64 index = warp_index(); index < total; index += warp_count()) {
        u64 key = index % a.steps, group = index / a.steps % a.groups, batch = index / a.steps / a.groups;
        float dk_sums[HEAD_PARTS] = {}, dv_sums[HEAD_PARTS] = {};
        for (u64 r = 0; r < a.repeat; r++) {
            u64 head = group * a.repeat + r;
            for (u64 first = a.causal ? key : 0; first < a.steps; first += 32) {
                u64 step = first + lane();
                Weight w = {0.0f, 0.0f};
                if (step < a.steps) {
                    Keys keys = visible(a, batch, step);
                    if (key >= keys.start && key < keys.end)
                        w = weight_of(g, batch, head, step, key, delta_of(g, batch, head, step));
                }
                weights[lane()] = w.p;
                scores[lane()] = w.ds;
                __syncwarp();
                u64 count = a.steps - first < 32 ? a.steps - first : 32;
                for (u32 part = 0; part < HEAD_PARTS; part++) {
                    u64 d = lane() + part * 32;
                    if (d >= a.size) break;
                    for (u64 i = 0; i < count; i++) {
                        float q = load_float(*a.q, head_offset(*a.q, batch, first + i, head) + d);
                        float dout = load_float(*g.dout, head_offset(*g.dout, batch, first + i, head) + d);
                        dk_sums[part] = fmaf(scores[i], q, dk_sums[part]);
                        dv_sums[part] = fmaf(weights[i], dout, dv_sums[part]);
                    }
                }
                __syncwarp();
            }
        }
        for (u32 part = 0; part < HEAD_PARTS; part++) {
            u64 d = lane() + part * 32;
            if (d >= a.size) break;
            store_float(*dk, head_offset(*dk, batch, key, group) + d, dk_sums[part] * a.scale);
            store_float(*dv, head_offset(*dv, batch, key, group) + d, dv_sums[part]);
        }
    }
}
