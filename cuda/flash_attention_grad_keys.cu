/// Flash attention, backward, second of three kernels: dk and dv. A block has the keys of some warps, 16 each, of one key head, and
/// goes over the tiles of queries that see them, head by head of the group: sums are made in one order, whatever runs beside.
/// Scores are made transposed, keys by queries, so that weights are the left side of the products that follow as they lie.
#pragma once
#include "flash_tile.h"

template <int D> struct GradKeys {
    static const int warps = D <= 64 ? 8 : 4, keys = warps * 16, threads = warps * 32;
    /// Of a tile, and how many of them are scored at once: as many as registers have room for.
    static const int queries = 64, scored = D <= 64 ? 64 : 32;
    /// Keys and values stay in registers where they leave enough for the rest.
    static const bool holds_keys = D <= 64;
    static const u32 tile_bytes = queries * D * 2;
    /// Queries, their gradients, and of each query lse, delta and the first key that its document sees.
    static const u32 stage_bytes = 2 * tile_bytes + 3 * queries * 4;
};

/// What a block makes. The first keys come first: with a causal mask most queries see them.
struct KeysPlace {
    u64 batch, group;
    u32 first;
};

template <int D> DEV KeysPlace keys_place(const Attention& a) {
    const u32 keys = GradKeys<D>::keys;
    u32 tiles = (u32)((a.steps + keys - 1) / keys), groups = (u32)a.groups, index = blockIdx.x / tiles;
    KeysPlace place = {index / groups, index % groups, blockIdx.x % tiles * keys};
    return place;
}

/// The queries that see some of keys [first, end): none of the others does.
struct Seeing {
    u32 start, end;
};

DEV Seeing seeing(const Attention& a, u64 batch, u32 first, u32 end) {
    u64 last = a.window != 0 ? (u64)end - 1 + a.window : a.steps;
    Seeing queries = {a.causal ? first : 0, (u32)(last < a.steps ? last : a.steps)};
    if (!a.documents) return queries;
    Seeing joined = {0xffffffffu, 0};
    for (u32 step = queries.start + lane(); step < queries.end; step += 32) {
        const Keys keys = visible(a, batch, step);
        if (keys.start >= end || keys.end <= first || keys.start >= keys.end) continue;
        joined.start = step < joined.start ? step : joined.start;
        joined.end = step + 1;
    }
    joined.start = warp_join<MinU32>(joined.start);
    joined.end = warp_join<Max>(joined.end);
    return joined;
}

/// Where the rows of the group's first head lie, and how far the next head is. A block works this out once and keeps it in shared
/// memory: registers are needed for sums.
struct GroupRows {
    HeadRows q, dout, dq;
    u64 q_head, dout_head, dq_head;
    const float* lse;
    const u32* documents;
    u64 documents_stride;
};

DEV u64 head_bytes(const Operand& o) { return o.strides[2] * (o.dtype == BF16 ? 2 : 4); }

DEV GroupRows group_rows(const AttentionGrad& g, u64 batch, u64 group) {
    const Attention& a = g.a;
    u64 head = group * a.repeat;
    GroupRows rows = {head_rows(*a.q, batch, head), head_rows(*g.dout, batch, head), head_rows(*g.dq, batch, head)};
    rows.q_head = head_bytes(*a.q);
    rows.dout_head = head_bytes(*g.dout);
    rows.dq_head = head_bytes(*g.dq);
    rows.lse = pointer<float>(*g.lse) + (batch * a.heads + head) * a.steps;
    if (a.documents) {
        rows.documents = pointer<u32>(*a.documents) + batch * a.documents->strides[0];
        rows.documents_stride = a.documents->strides[1];
    }
    return rows;
}

/// Starts the copy of a tile of queries of a head and their gradients, and to `sums` of what belongs to them.
template <int D>
DEV void copy_queries(const GroupRows& rows, SharedAddress stage, SharedAddress sums, u32 repeat, u32 first) {
    typedef GradKeys<D> Shape;
    HeadRows q = rows.q, dout = rows.dout;
    q.data += repeat * rows.q_head;
    dout.data += repeat * rows.dout_head;
    copy_rows<D, Shape::queries, Shape::threads>(stage, q, first);
    copy_rows<D, Shape::queries, Shape::threads>(stage + Shape::tile_bytes, dout, first);
    u32 row = threadIdx.x % Shape::queries, step = first + row;
    bool inside = step < q.rows;
    SharedAddress to = sums + row * 4;
    if (threadIdx.x < Shape::queries) {
        copy_async4(to, rows.lse + (u64)repeat * q.rows + step, inside);
        if (rows.documents) copy_async4(to + 2 * Shape::queries * 4, rows.documents + step * rows.documents_stride, inside);
    } else if (threadIdx.x < 2 * Shape::queries) {
        const u8* delta = rows.dq.data + repeat * rows.dq_head + (u64)step * rows.dq.stride_bytes;
        copy_async4(to + Shape::queries * 4, delta, inside);
    }
}

/// Who sees what, and the factor that makes powers of 2 of scores.
struct Rule {
    bool causal, documents;
    /// 0: no limit.
    u32 window;
    float scale2;
};

DEV Rule rule_of(const Task& task) {
    // A window that is longer than any sequence can be is none.
    u32 window = task.words[2] >> 30 ? 0 : task.words[2];
    Rule rule = {task.words[0] == 1, task.words[1] == 1, window, float_of(task.words[3]) * LOG2E};
    return rule;
}

/// Whether all of these queries see all of the warp's keys [first, first + 16).
template <int N> DEV bool all_see(const Rule& rule, u32 first, u32 query, const u32* starts) {
    bool all = !rule.causal || query + 1 >= first + 16;
    if (rule.window != 0) all = all && query + N * 8 <= first + rule.window;
    // Keys beyond the end need no mask: their results are dropped.
    if (!rule.documents || !all) return all;
    u32 start = starts[lane()];
    if (N * 8 > 32 && starts[lane() + N * 8 - 32] > start) start = starts[lane() + N * 8 - 32];
    return warp_max(start) <= first;
}

/// Weights of what is not to be seen become 0.
template <int N> DEV void mask_by_key(const Rule& rule, float (&p)[N][4], u32 first, u32 query, const u32* starts) {
UNROLL
    for (u32 n = 0; n < N; n++)
UNROLL
        for (u32 i = 0; i < 4; i++) {
            u32 column = n * 8 + lane() % 4 * 2 + i % 2, step = query + column, key = first + lane() / 4 + i / 2 * 8;
            bool hidden = (rule.causal && key > step) || (rule.window != 0 && key + rule.window <= step);
            if (hidden || (rule.documents && key < starts[column])) p[n][i] = 0.0f;
        }
}

/// Products of a warp's keys with one run of queries.
template <int D, bool HOLDS> struct KeySide;
template <int D> struct KeySide<D, true> {
    u32 words[D / 16][4];
    __device__ __forceinline__ void take(SharedAddress rows) {
UNROLL
        for (u32 i = 0; i < D / 16; i++) load_left<D>(words[i], rows, i);
    }
    template <int N> __device__ __forceinline__ void multiply(float (&c)[N][4], SharedAddress right) const {
        multiply_dims<D>(c, words, right);
    }
};
template <int D> struct KeySide<D, false> {
    SharedAddress rows;
    __device__ __forceinline__ void take(SharedAddress from) { rows = from; }
    template <int N> __device__ __forceinline__ void multiply(float (&c)[N][4], SharedAddress right) const {
        multiply_dims<D>(c, rows, right);
    }
};

template <int D> DEV void finish_keys(const Task& task, const float (&dk)[D / 8][4], const float (&dv)[D / 8][4],
                                      u8* staging) {
    const AttentionGrad g = attention_grad_of(task);
    const KeysPlace place = keys_place<D>(g.a);
    u32 row = threadIdx.x / 32 * 16;
    float scales[2] = {g.a.scale, g.a.scale}, ones[2] = {1.0f, 1.0f};
    store_rows<D>(dk, scales, staging, row, head_rows(g.dq[1], place.batch, place.group), place.first + row);
    u8* values = staging + GradKeys<D>::keys * D * 2;
    store_rows<D>(dv, ones, values, row, head_rows(g.dq[2], place.batch, place.group), place.first + row);
}

/// One run of queries: dv += p.dout, dk += ds.q.
template <int D, class Side>
DEV void add_queries(const Rule& rule, float (&dk)[D / 8][4], float (&dv)[D / 8][4], const Side& k, const Side& v,
                     SharedAddress tile, const float* sums, u32 first, u32 query) {
    typedef GradKeys<D> Shape;
    const u32 count = Shape::scored / 8;
    const float *lse = sums, *delta = sums + Shape::queries;
    const u32* starts = reinterpret_cast<const u32*>(sums + 2 * Shape::queries);
    u32 by_rows = lane_by_rows<D>(), by_dims = lane_by_dims<D>();
    float p[count][4], ds[count][4];
    k.multiply(p, tile + by_dims);
UNROLL
    for (u32 n = 0; n < count; n++) {
        Words2 pair = load_words2(lse + n * 8 + lane() % 4 * 2);
UNROLL
        for (u32 i = 0; i < 4; i++) p[n][i] = exp2_fast(fmaf(p[n][i], rule.scale2, -float_of(pair.w[i % 2]) * LOG2E));
    }
    if (!all_see<count>(rule, first, query, starts)) mask_by_key(rule, p, first, query, starts);
    multiply_rows<D>(dv, p, tile + Shape::tile_bytes + by_rows);
    v.multiply(ds, tile + Shape::tile_bytes + by_dims);
UNROLL
    for (u32 n = 0; n < count; n++) {
        Words2 pair = load_words2(delta + n * 8 + lane() % 4 * 2);
UNROLL
        for (u32 i = 0; i < 4; i++) ds[n][i] = p[n][i] * (ds[n][i] - float_of(pair.w[i % 2]));
    }
    multiply_rows<D>(dk, ds, tile + by_rows);
}

template <int D> DEV void flash_grad_keys(const Task& task) {
    SHARED(u8, shared);
    typedef GradKeys<D> Shape;
    const u32 queries = Shape::queries, keys_bytes = Shape::keys * D * 2;
    u32 repeats, row = threadIdx.x / 32 * 16, first, start, end;
    SharedAddress keys = shared_address(shared), stages = keys + 2 * keys_bytes;
    GroupRows& rows = *reinterpret_cast<GroupRows*>(shared + 2 * keys_bytes + 2 * Shape::stage_bytes);
    {
        const AttentionGrad g = attention_grad_of(task);
        const Attention& a = g.a;
        const KeysPlace place = keys_place<D>(a);
        copy_rows<D, Shape::keys, Shape::threads>(keys, head_rows(*a.k, place.batch, place.group), place.first);
        copy_rows<D, Shape::keys, Shape::threads>(keys + keys_bytes, head_rows(*a.v, place.batch, place.group),
                                                  place.first);
        const Seeing seen = seeing(a, place.batch, place.first, place.first + Shape::keys);
        const GroupRows found = group_rows(g, place.batch, place.group);
        if (threadIdx.x == 0) rows = found;
        repeats = (u32)a.repeat;
        first = place.first + row;
        start = seen.start / queries * queries;
        end = seen.end;
        if (start < end) copy_queries<D>(found, stages, stages + 2 * Shape::tile_bytes, 0, start);
    }
    copy_commit();
    float dk[D / 8][4] = {}, dv[D / 8][4] = {};
    copy_wait<0>();
    __syncthreads();
    KeySide<D, Shape::holds_keys> k, v;
    k.take(keys + row * D * 2 + lane_by_rows<D>());
    v.take(keys + keys_bytes + row * D * 2 + lane_by_rows<D>());
    const Rule rule = rule_of(task);
    u32 repeat = 0, query = start, stage = 0;
    while (query < end && repeat < repeats) {
        u32 next = query + queries, next_repeat = repeat;
        if (next >= end) {
            next = start;
            next_repeat++;
        }
        SharedAddress later = stages + (stage ^ 1) * Shape::stage_bytes;
        if (next_repeat < repeats) copy_queries<D>(rows, later, later + 2 * Shape::tile_bytes, next_repeat, next);
        copy_commit();
#pragma unroll 1
        for (u32 part = 0; part < queries; part += Shape::scored) {
            // None of these is as late as the warp's first key.
            if (rule.causal && query + part + Shape::scored <= first) continue;
            u32 at = stage * Shape::stage_bytes;
            const float* sums = reinterpret_cast<const float*>(shared + 2 * keys_bytes + at + 2 * Shape::tile_bytes);
            add_queries<D>(rule, dk, dv, k, v, stages + at + part * D * 2, sums + part, first, query + part);
        }
        copy_wait<0>();
        __syncthreads();
        query = next;
        repeat = next_repeat;
        stage ^= 1;
    }
    finish_keys<D>(task, dk, dv, shared);
}

KERNEL_OF(flash_attention_grad_keys_32, 256, 1) { flash_grad_keys<32>(task); }
KERNEL_OF(flash_attention_grad_keys_64, 256, 1) { flash_grad_keys<64>(task); }
KERNEL_OF(flash_attention_grad_keys_96, 128, 2) { flash_grad_keys<96>(task); }
KERNEL_OF(flash_attention_grad_keys_128, 128, 2) { flash_grad_keys<128>(task); }
