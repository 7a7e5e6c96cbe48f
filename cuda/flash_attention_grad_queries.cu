/// Flash attention, backward, last of three kernels: dq. A block has the queries of some warps, 16 each, of one head, and goes over
/// tiles of keys as the forward kernel does: weights come again from lse, ds = p (dout.v - delta), dq += ds.k.
#pragma once
#include "flash_tile.h"

template <int D> struct GradQueries {
    static const int warps = D <= 64 ? 8 : 4, queries = warps * 16, threads = warps * 32;
    /// Of a tile, and how many of them are scored at once: as many as registers have room for.
    static const int keys = 64, scored = D <= 96 ? 64 : 32;
    static const u32 tile_bytes = keys * D * 2;
};

/// What a block makes; late queries come first, for with a causal mask they have the most keys.
struct QueriesPlace {
    u64 batch, head;
    u32 first;
};

template <int D> DEV QueriesPlace queries_place(const Attention& a) {
    const u32 queries = GradQueries<D>::queries;
    u32 tiles = (u32)((a.steps + queries - 1) / queries), heads = (u32)a.heads, index = blockIdx.x / tiles;
    QueriesPlace place = {index / heads, index % heads, (tiles - 1 - blockIdx.x % tiles) * queries};
    return place;
}

/// Weights of what is not to be seen become 0. What this needs is read from the task again.
template <int D, int N> DEV void mask_by_query(const Task& task, float (&p)[N][4], u32 first_key) {
    const Attention a = attention_of(task, 6);
    const QueriesPlace place = queries_place<D>(a);
    hide_unseen(a, place.batch, place.first + threadIdx.x / 32 * 16, p, first_key, 0.0f);
}

template <int D> DEV void finish_queries(const Task& task, const float (&dq)[D / 8][4], u8* staging) {
    const AttentionGrad g = attention_grad_of(task);
    const QueriesPlace place = queries_place<D>(g.a);
    u32 row = threadIdx.x / 32 * 16;
    float factors[2] = {g.a.scale, g.a.scale};
    store_rows<D>(dq, factors, staging, row, head_rows(*g.dq, place.batch, place.head), place.first + row);
}

template <int D> DEV void flash_grad_queries(const Task& task) {
    SHARED(u8, shared);
    typedef GradQueries<D> Shape;
    const u32 keys = Shape::keys, scored = Shape::scored, tile_bytes = Shape::tile_bytes;
    const AttentionGrad g = attention_grad_of(task);
    const Attention& a = g.a;
    const QueriesPlace place = queries_place<D>(a);
    u32 row = threadIdx.x / 32 * 16, first = place.first + row;
    u64 group = place.head / a.repeat;
    HeadRows k = head_rows(*a.k, place.batch, group), v = head_rows(*a.v, place.batch, group);
    v.rows = k.rows;
    v.size = k.size;
    SharedAddress queries = shared_address(shared), douts = queries + Shape::queries * D * 2;
    SharedAddress stages = douts + Shape::queries * D * 2;
    Seen block = seen_by(a, place.batch, place.first, Shape::queries), warp = seen_by(a, place.batch, first, 16);
    u32 key = block.any_start / keys * keys, stage = 0;
    HeadRows dout = head_rows(*g.dout, place.batch, place.head);
    copy_rows<D, Shape::queries, Shape::threads>(queries, head_rows(*a.q, place.batch, place.head), place.first);
    copy_rows<D, Shape::queries, Shape::threads>(douts, dout, place.first);
    if (key < block.any_end) {
        copy_rows<D, keys, Shape::threads>(stages, k, key);
        copy_rows<D, keys, Shape::threads>(stages + tile_bytes, v, key);
    }
    copy_commit();
    float lse2[2], delta[2];
    HeadRows dq_rows = head_rows(*g.dq, place.batch, place.head);
    for (u32 half = 0; half < 2; half++) {
        u32 step = first + half * 8 + lane() / 4;
        bool inside = step < a.steps;
        u64 index = (place.batch * a.heads + place.head) * a.steps + step;
        lse2[half] = inside ? pointer<float>(*g.lse)[index] * LOG2E : 0.0f;
        const u8* kept = dq_rows.data + (u64)step * dq_rows.stride_bytes;
        delta[half] = inside ? *reinterpret_cast<const float*>(kept) : 0.0f;
    }
    float scale2 = a.scale * LOG2E, dq[D / 8][4] = {};
    copy_wait<0>();
    __syncthreads();
    u32 by_rows = lane_by_rows<D>(), by_dims = lane_by_dims<D>(), q[D / 16][4], dy[D / 16][4];
UNROLL
    for (u32 i = 0; i < D / 16; i++) {
        load_left<D>(q[i], queries + row * D * 2 + by_rows, i);
        load_left<D>(dy[i], douts + row * D * 2 + by_rows, i);
    }
    for (; key < block.any_end; key += keys, stage ^= 1) {
        SharedAddress at = stages + stage * 2 * tile_bytes, next = stages + (stage ^ 1) * 2 * tile_bytes;
        if (key + keys < block.any_end) {
            copy_rows<D, keys, Shape::threads>(next, k, key + keys);
            copy_rows<D, keys, Shape::threads>(next + tile_bytes, v, key + keys);
        }
        copy_commit();
#pragma unroll 1
        for (u32 part = 0; part < keys && key + part < warp.any_end; part += scored) {
            SharedAddress tile = at + part * D * 2;
            float p[scored / 8][4], ds[scored / 8][4];
            multiply_dims<D>(p, q, tile + by_dims);
            multiply_dims<D>(ds, dy, tile + tile_bytes + by_dims);
UNROLL
            for (u32 n = 0; n < scored / 8; n++)
UNROLL
                for (u32 i = 0; i < 4; i++) p[n][i] = exp2_fast(fmaf(p[n][i], scale2, -lse2[i / 2]));
            if (key + part < warp.all_start || key + part + scored > warp.all_end)
                mask_by_query<D>(task, p, key + part);
UNROLL
            for (u32 n = 0; n < scored / 8; n++)
UNROLL
                for (u32 i = 0; i < 4; i++) ds[n][i] = p[n][i] * (ds[n][i] - delta[i / 2]);
            multiply_rows<D>(dq, ds, tile + by_rows);
        }
        copy_wait<0>();
        __syncthreads();
    }
    finish_queries<D>(task, dq, shared);
}

KERNEL_OF(flash_attention_grad_queries_32, 256, 1) { flash_grad_queries<32>(task); }
KERNEL_OF(flash_attention_grad_queries_64, 256, 1) { flash_grad_queries<64>(task); }
KERNEL_OF(flash_attention_grad_queries_96, 128, 2) { flash_grad_queries<96>(task); }
KERNEL_OF(flash_attention_grad_queries_128, 128, 2) { flash_grad_queries<128>(task); }
