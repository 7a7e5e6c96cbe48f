/// attention, forward, on tensor cores: bf16 q, k, v with heads of up to 128 dims (a multiple of 16). A block makes the results of
/// 128 queries of one head, a warp 32 of them, over tiles of keys: the next tile is copied to shared memory while the warp works on
/// this one. Softmax is online, in f32 and powers of 2. Tiles that none of a block's queries see are never read, and a warp
/// skips those that none of its own see.
#pragma once
#include "flash_tile.h"

#define FLASH_WARPS 4
#define FLASH_THREADS 128
#define FLASH_QUERIES 128

template <int D> struct Forward {
    /// Of a tile, and how many of them are scored at once: as many as registers have room for.
    static const int keys = 64, scored = D <= 64 ? 64 : 32;
    /// Queries stay in registers where they leave enough for the rest.
    static const bool holds_queries = D <= 64;
    static const u32 tile_bytes = keys * D * 2;
};

/// One warp's queries: scores of a tile of keys, and what has been summed so far.
template <int D> struct ForwardState {
    float out[2][D / 8][4];
    /// Of each of the four rows that a lane has a part of: the largest score, and this lane's part of the sum of weights.
    float top[4], total[4];
};

/// q . k for a tile of keys.
template <int D, int N>
DEV void score_tile(float (&s)[2][N][4], const u32 (&q)[2][D / 16][4], SharedAddress queries,
                    SharedAddress keys) {
    queries = not_hoisted(queries);
    keys = not_hoisted(keys);
UNROLL
    for (u32 m = 0; m < 2; m++)
UNROLL
        for (u32 n = 0; n < N; n++)
UNROLL
            for (u32 i = 0; i < 4; i++) s[m][n][i] = 0.0f;
UNROLL
    for (u32 k = 0; k < D / 16; k++) {
        u32 left[2][4];
UNROLL
        for (u32 m = 0; m < 2; m++)
            if (!Forward<D>::holds_queries) load_left<D>(left[m], queries + m * 16 * D * 2, k);
            else for (u32 i = 0; i < 4; i++) left[m][i] = q[m][k][i];
UNROLL
        for (u32 n = 0; n < N / 2; n++) {
            u32 right[4];
            load_right_dims<D>(right, keys + n * 16 * D * 2, k);
UNROLL
            for (u32 m = 0; m < 2; m++) {
                mma_bf16(s[m][n * 2], left[m], right[0], right[1]);
                mma_bf16(s[m][n * 2 + 1], left[m], right[2], right[3]);
            }
        }
    }
}

/// What a block makes. Late queries come first: with a causal mask they have the most keys.
struct ForwardPlace {
    u64 batch, head;
    u32 first;
};

DEV ForwardPlace forward_place(const Attention& a) {
    u32 tiles = (u32)((a.steps + FLASH_QUERIES - 1) / FLASH_QUERIES), heads = (u32)a.heads;
    u32 index = blockIdx.x / tiles;
    ForwardPlace place = {index / heads, index % heads, (tiles - 1 - blockIdx.x % tiles) * FLASH_QUERIES};
    return place;
}

/// Scores that are not to be seen become -infinity. What this needs is read from the task again, so that it is not kept in
/// registers during the loop over keys.
template <int N> DEV void mask_tile(const Task& task, float (&s)[2][N][4], u32 first_key) {
    const Attention a = attention_of(task, 3);
    const ForwardPlace place = forward_place(a);
UNROLL
    for (u32 m = 0; m < 2; m++)
        hide_unseen(a, place.batch, place.first + threadIdx.x / 32 * 32 + m * 16, s[m], first_key, -INFINITY);
}

/// Scores become weights relative to the largest score so far; what was summed before is scaled to it.
template <int D, int N> DEV void weigh_tile(float (&s)[2][N][4], ForwardState<D>& state, float scale2) {
UNROLL
    for (u32 row = 0; row < 4; row++) {
        const u32 m = row / 2, half = row % 2 * 2;
        float top = state.top[row];
UNROLL
        for (u32 n = 0; n < N; n++) top = fmaxf(top, fmaxf(s[m][n][half], s[m][n][half + 1]));
        top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
        top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
        float base = top == -INFINITY ? 0.0f : top * scale2;
        float old = exp2_fast(fmaf(state.top[row], scale2, -base));
        float total = state.total[row] * old;
UNROLL
        for (u32 n = 0; n < N; n++)
UNROLL
            for (u32 i = 0; i < 2; i++) {
                float weight = exp2_fast(fmaf(s[m][n][half + i], scale2, -base));
                s[m][n][half + i] = weight;
                total += weight;
            }
        state.top[row] = top;
        state.total[row] = total;
UNROLL
        for (u32 n = 0; n < D / 8; n++) {
            state.out[m][n][half] *= old;
            state.out[m][n][half + 1] *= old;
        }
    }
}

/// out += weights . v
template <int D, int N> DEV void mix_tile(const float (&s)[2][N][4], ForwardState<D>& state, SharedAddress values) {
    values = not_hoisted(values);
UNROLL
    for (u32 k = 0; k < N / 2; k++) {
        u32 left[2][4];
        pack_left(left[0], s[0][k * 2], s[0][k * 2 + 1]);
        pack_left(left[1], s[1][k * 2], s[1][k * 2 + 1]);
UNROLL
        for (u32 n = 0; n < D / 16; n++) {
            u32 right[4];
            load_right_rows<D>(right, values + k * 16 * D * 2, n);
UNROLL
            for (u32 m = 0; m < 2; m++) {
                mma_bf16(state.out[m][n * 2], left[m], right[0], right[1]);
                mma_bf16(state.out[m][n * 2 + 1], left[m], right[2], right[3]);
            }
        }
    }
}

template <int D> DEV void start_forward(ForwardState<D>& state) {
UNROLL
    for (u32 row = 0; row < 4; row++) {
        state.top[row] = -INFINITY;
        state.total[row] = 0.0f;
    }
UNROLL
    for (u32 m = 0; m < 2; m++)
UNROLL
        for (u32 n = 0; n < D / 8; n++)
UNROLL
            for (u32 i = 0; i < 4; i++) state.out[m][n][i] = 0.0f;
}

/// Reads the task again, so that nothing of it is kept in registers during the loop over keys.
template <int D> DEV void finish_forward(const Task& task, ForwardState<D>& state, u8* staging) {
    const Attention a = attention_of(task, 3);
    const ForwardPlace place = forward_place(a);
    const Operand *results = task.operands + 3 + task.words[1], *sums = results + 1;
    HeadRows out = head_rows(*results, place.batch, place.head);
    float* lse = pointer<float>(*sums) + (place.batch * a.heads + place.head) * a.steps;
    u32 row = threadIdx.x / 32 * 32, first = place.first + row;
UNROLL
    for (u32 m = 0; m < 2; m++) {
        float factors[2];
UNROLL
        for (u32 half = 0; half < 2; half++) {
            float total = state.total[m * 2 + half];
            total += __shfl_xor_sync(0xffffffffu, total, 1);
            total += __shfl_xor_sync(0xffffffffu, total, 2);
            factors[half] = total == 0.0f ? 0.0f : 1.0f / total;
            u32 step = first + m * 16 + half * 8 + lane() / 4;
            if (lane() % 4 == 0 && step < a.steps)
                lse[step] = total == 0.0f ? -INFINITY : state.top[m * 2 + half] * a.scale + logf(total);
        }
        store_rows<D>(state.out[m], factors, staging, row + m * 16, out, first + m * 16);
    }
}

template <int D> DEV void flash_forward(const Task& task) {
    SHARED(u8, shared);
    const u32 keys = Forward<D>::keys, scored = Forward<D>::scored, tile_bytes = Forward<D>::tile_bytes;
    const Attention a = attention_of(task, 3);
    const ForwardPlace place = forward_place(a);
    u32 row = threadIdx.x / 32 * 32, first = place.first + row;
    u64 group = place.head / a.repeat;
    HeadRows k = head_rows(*a.k, place.batch, group), v = head_rows(*a.v, place.batch, group);
    v.rows = k.rows;
    v.size = k.size;
    SharedAddress queries = shared_address(shared), stages = queries + FLASH_QUERIES * D * 2;
    Seen block = seen_by(a, place.batch, place.first, FLASH_QUERIES), warp = seen_by(a, place.batch, first, 32);
    u32 key = block.any_start / keys * keys, stage = 0;
    copy_rows<D, FLASH_QUERIES, FLASH_THREADS>(queries, head_rows(*a.q, place.batch, place.head), place.first);
    if (key < block.any_end) {
        copy_rows<D, keys, FLASH_THREADS>(stages, k, key);
        copy_rows<D, keys, FLASH_THREADS>(stages + tile_bytes, v, key);
    }
    copy_commit();
    ForwardState<D> state;
    start_forward<D>(state);
    copy_wait<0>();
    __syncthreads();
    u32 by_rows = lane_by_rows<D>(), by_dims = lane_by_dims<D>();
    SharedAddress warp_queries = queries + row * D * 2 + by_rows;
    u32 q[2][D / 16][4];
    if (Forward<D>::holds_queries)
UNROLL
        for (u32 i = 0; i < D / 16; i++) {
            load_left<D>(q[0][i], warp_queries, i);
            load_left<D>(q[1][i], warp_queries + 16 * D * 2, i);
        }
    for (; key < block.any_end; key += keys, stage ^= 1) {
        SharedAddress at = stages + stage * 2 * tile_bytes, next = stages + (stage ^ 1) * 2 * tile_bytes;
        if (key + keys < block.any_end) {
            copy_rows<D, keys, FLASH_THREADS>(next, k, key + keys);
            copy_rows<D, keys, FLASH_THREADS>(next + tile_bytes, v, key + keys);
        }
        copy_commit();
#pragma unroll 1
        for (u32 part = 0; part < keys && key + part < warp.any_end; part += scored) {
            float s[2][scored / 8][4];
            score_tile<D>(s, q, warp_queries, at + part * D * 2 + by_dims);
            if (key + part < warp.all_start || key + part + scored > warp.all_end) mask_tile(task, s, key + part);
            weigh_tile<D>(s, state, a.scale * LOG2E);
            mix_tile<D>(s, state, at + tile_bytes + part * D * 2 + by_rows);
        }
        copy_wait<0>();
        __syncthreads();
    }
    finish_forward<D>(task, state, shared);
}

KERNEL_OF(flash_attention_32, FLASH_THREADS, 2) { flash_forward<32>(task); }
KERNEL_OF(flash_attention_64, FLASH_THREADS, 2) { flash_forward<64>(task); }
KERNEL_OF(flash_attention_96, FLASH_THREADS, 2) { flash_forward<96>(task); }
KERNEL_OF(flash_attention_128, FLASH_THREADS, 2) { flash_forward<128>(task); }
