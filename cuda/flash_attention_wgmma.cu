/// attention, forward, as flash_attention.cu but by wgmma, for compute capability 9.0: heads of 64 or 128 dims. A block has two
/// warpgroups with 64 queries each. While the scores of a tile of keys are made and weighed, the values of the tile before are
/// mixed: in step s the products are scores of tile s and the mixture of tile s - 1, and the copies under way bring keys of tile
/// s + 1 and values of tile s. Off unless asked for (zig/cuda/launch_attention.zig): no GPU has run it.
#pragma once
#include "flash_tile.h"
#include "wgmma.h"

/// Bytes of a row of a tile: heads of 128 dims lie as two tiles of 64.
#define WGMMA_ROW 128
/// Of 8 rows.
#define WGMMA_PIECE 1024

template <int D> struct WgmmaForward {
    static const int groups = 2, queries = 64 * groups, threads = 128 * groups;
    static const int keys = D <= 64 ? 64 : 128, blocks = D <= 64 ? 2 : 1, halves = D / 64;
    /// Queries stay in registers where they leave enough for the rest.
    static const bool holds_queries = D <= 64;
    static const u32 half_bytes = keys * WGMMA_ROW, tile_bytes = halves * half_bytes;
    static const u32 query_half_bytes = queries * WGMMA_ROW, query_bytes = halves * query_half_bytes;
};

#ifdef THESEUS_WGMMA

/// Starts the copy of rows [first, first + ROWS) as tiles of 64 dims, one after the other.
template <int D, int ROWS, int WIDTH> DEV void copy_halves(SharedAddress tile, HeadRows from, u32 first) {
UNROLL
    for (u32 half = 0; half < D / 64; half++) {
        copy_rows<64, ROWS, WIDTH>(tile + half * ROWS * WGMMA_ROW, from, first);
        from.data += WGMMA_ROW;
        from.size = from.size > 64 ? from.size - 64 : 0;
    }
}

/// A warpgroup's queries, of which a lane has a part of two rows: what has been summed so far, the largest score, and this lane's
/// part of the sum of weights.
template <int D> struct WgmmaState {
    float out[D / 8][4];
    float top[2], total[2];
};

/// What a block makes. Late queries come first: with a causal mask they have the most keys.
template <int D> DEV ForwardPlace wgmma_place(const Attention& a) {
    const u32 queries = WgmmaForward<D>::queries;
    u32 tiles = (u32)((a.steps + queries - 1) / queries), heads = (u32)a.heads, index = blockIdx.x / tiles;
    ForwardPlace place = {index / heads, index % heads, (tiles - 1 - blockIdx.x % tiles) * queries};
    return place;
}

/// Where keys and values come from, kept in shared memory: registers are needed for sums.
struct KeyRows {
    HeadRows k, v;
};

/// The tiles of a block: two places for keys, then two for values.
template <int D> struct KeyTiles {
    typedef WgmmaForward<D> Shape;
    const KeyRows* from;
    SharedAddress stages;
    u32 first_key, count;

    __device__ __forceinline__ SharedAddress keys(u32 tile) const { return stages + (tile & 1) * Shape::tile_bytes; }
    __device__ __forceinline__ SharedAddress values(u32 tile) const {
        return stages + (2 + (tile & 1)) * Shape::tile_bytes;
    }
    __device__ __forceinline__ void bring(SharedAddress to, const HeadRows& rows, u32 tile) const {
        if (tile < count) copy_halves<D, Shape::keys, Shape::threads>(to, rows, first_key + tile * Shape::keys);
    }
    /// What step `step` copies for the next one.
    __device__ __forceinline__ void begin(u32 step) const {
        bring(keys(step + 1), from->k, step + 1);
        bring(values(step), from->v, step);
        copy_commit();
    }
    /// All warpgroups have done the step, and what it copied is there.
    __device__ __forceinline__ void next(u32& step) const {
        copy_wait<0>();
        wgmma_publish();
        __syncthreads();
        begin(++step);
    }
};

/// Starts s = q . k of a tile, with a warpgroup's queries in registers or, of `queries` on, in shared memory.
template <int D, int N, int HELD>
DEV void start_scores(float (&s)[N][4], const u32 (&q)[HELD][4], SharedAddress queries, SharedAddress keys) {
    typedef WgmmaForward<D> Shape;
    queries = not_hoisted(queries);
    keys = not_hoisted(keys);
UNROLL
    for (u32 k = 0; k < D / 16; k++) {
        const u32 half = k / 4, dims = k % 4 * 32;
        u64 right = wgmma_matrix(keys + half * Shape::half_bytes + dims, 16, WGMMA_PIECE);
        if constexpr (Shape::holds_queries) wgmma<DIMS>(s, q[k], right, k > 0);
        else wgmma<DIMS>(s, wgmma_matrix(queries + half * Shape::query_half_bytes + dims, 16, WGMMA_PIECE), right, k > 0);
    }
    wgmma_commit();
}

/// Starts out += weights . v
template <int D, int N> DEV void start_mixture(WgmmaState<D>& state, const u32 (&p)[N][4], SharedAddress values) {
    values = not_hoisted(values);
UNROLL
    for (u32 k = 0; k < N; k++) {
        u64 right = wgmma_matrix(values + k * 2 * WGMMA_PIECE, WgmmaForward<D>::half_bytes, WGMMA_PIECE);
        wgmma<ROWS>(state.out, p[k], right, true);
    }
    wgmma_commit();
}

/// Scores that are not to be seen become -infinity. What this needs is read from the task again, so that it is not kept in
/// registers during the loop over keys.
template <int D, int N> DEV void mask_scores(const Task& task, float (&s)[N][4], u32 first_key) {
    const Attention a = attention_of(task, 3);
    const ForwardPlace place = wgmma_place<D>(a);
    hide_unseen(a, place.batch, place.first + threadIdx.x / 32 * 16, s, first_key, -INFINITY);
}

/// Scores become weights relative to the largest score so far; `old` is what earlier sums are to be scaled by.
template <int D, int N> DEV void weigh_scores(float (&s)[N][4], WgmmaState<D>& state, float (&old)[2], float scale2) {
UNROLL
    for (u32 row = 0; row < 2; row++) {
        float top = state.top[row];
UNROLL
        for (u32 n = 0; n < N; n++) top = fmaxf(top, fmaxf(s[n][row * 2], s[n][row * 2 + 1]));
        top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
        top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
        float base = top == -INFINITY ? 0.0f : top * scale2;
        old[row] = exp2_fast(fmaf(state.top[row], scale2, -base));
        float total = state.total[row] * old[row];
UNROLL
        for (u32 n = 0; n < N; n++)
UNROLL
            for (u32 i = 0; i < 2; i++) {
                float weight = exp2_fast(fmaf(s[n][row * 2 + i], scale2, -base));
                s[n][row * 2 + i] = weight;
                total += weight;
            }
        state.top[row] = top;
        state.total[row] = total;
    }
}

/// The same for all lanes, and the compiler knows it: wgmma must not stand where lanes might part.
DEV u32 uniform(u32 x) { return __shfl_sync(0xffffffffu, x, 0); }

DEV Seen uniform(const Seen& seen) {
    Seen all = {uniform(seen.any_start), uniform(seen.any_end), uniform(seen.all_start), uniform(seen.all_end)};
    return all;
}

/// What a warpgroup keeps of its place: tiles of keys [begin, end) are those that some of its queries see, all of which see
/// keys [all_start, all_end).
struct GroupKeys {
    u32 begin, end, all_start, all_end;
};

/// One warpgroup's work on the tiles of a block. All warpgroups take every step of the block.
template <int D, int HELD>
DEV void attend_tiles(const Task& task, WgmmaState<D>& state, const KeyTiles<D>& tiles, const GroupKeys& own,
                      const u32 (&q)[HELD][4], SharedAddress queries, float scale2) {
    const u32 keys = WgmmaForward<D>::keys;
    float s[keys / 8][4], old[2];
    u32 p[keys / 16][4], step = 0;
    tiles.begin(step);
    while (step < own.begin) tiles.next(step);
    if (own.begin < own.end) {
        wgmma_fence();
        start_scores<D>(s, q, queries, tiles.keys(step));
        wgmma_wait<0>();
        wgmma_settle(s);
        while (true) {
            u32 key = tiles.first_key + step * keys;
            if (key < own.all_start || key + keys > own.all_end) mask_scores<D>(task, s, key);
            weigh_scores<D>(s, state, old, scale2);
            // Beside what is mixed, so that all of this is done while the mixture is under way, not after it.
            u32 weights[keys / 16][4];
UNROLL
            for (u32 k = 0; k < keys / 16; k++) pack_left(weights[k], s[k * 2], s[k * 2 + 1]);
            wgmma_settle(weights);
            wgmma_wait<0>();
            wgmma_settle(state.out);
UNROLL
            for (u32 n = 0; n < D / 8; n++)
UNROLL
                for (u32 i = 0; i < 4; i++) state.out[n][i] *= old[i / 2];
UNROLL
            for (u32 k = 0; k < keys / 16; k++)
UNROLL
                for (u32 i = 0; i < 4; i++) p[k][i] = weights[k][i];
            tiles.next(step);
            if (step == own.end) break;
            wgmma_settle(state.out);
            wgmma_settle(p);
            wgmma_fence();
            start_scores<D>(s, q, queries, tiles.keys(step));
            start_mixture<D>(state, p, tiles.values(step - 1));
            wgmma_wait<1>();
            wgmma_settle(s);
        }
        wgmma_settle(state.out);
        wgmma_settle(p);
        wgmma_fence();
        start_mixture<D>(state, p, tiles.values(step - 1));
        wgmma_wait<0>();
        wgmma_settle(state.out);
    }
    while (step < tiles.count) tiles.next(step);
}

/// Reads the task again, so that nothing of it is kept in registers during the loop over keys.
template <int D> DEV void finish_wgmma(const Task& task, WgmmaState<D>& state, u8* staging) {
    const Attention a = attention_of(task, 3);
    const ForwardPlace place = wgmma_place<D>(a);
    const Operand *results = task.operands + 3 + task.words[1], *sums = results + 1;
    HeadRows out = head_rows(*results, place.batch, place.head);
    float* lse = pointer<float>(*sums) + (place.batch * a.heads + place.head) * a.steps;
    u32 row = threadIdx.x / 32 * 16, first = place.first + row;
    float factors[2];
UNROLL
    for (u32 half = 0; half < 2; half++) {
        float total = state.total[half];
        total += __shfl_xor_sync(0xffffffffu, total, 1);
        total += __shfl_xor_sync(0xffffffffu, total, 2);
        factors[half] = total == 0.0f ? 0.0f : 1.0f / total;
        u32 step = first + half * 8 + lane() / 4;
        if (lane() % 4 == 0 && step < a.steps)
            lse[step] = total == 0.0f ? -INFINITY : state.top[half] * a.scale + logf(total);
    }
    store_rows<D>(state.out, factors, staging, row, out, first);
}

template <int D> DEV void flash_wgmma(const Task& task) {
    SHARED(u8, shared);
    typedef WgmmaForward<D> Shape;
    const Attention a = attention_of(task, 3);
    const ForwardPlace place = wgmma_place<D>(a);
    u64 group = place.head / a.repeat;
    SharedAddress queries = shared_address(shared);
    KeyRows& from = *reinterpret_cast<KeyRows*>(shared + Shape::query_bytes + 4 * Shape::tile_bytes);
    const KeyRows rows = {head_rows(*a.k, place.batch, group), head_rows(*a.v, place.batch, group)};
    if (threadIdx.x == 0) from = rows;
    KeyTiles<D> tiles = {&from, queries + Shape::query_bytes};
    u32 mine = uniform(threadIdx.x / 128) * 64;
    Seen block = uniform(seen_by(a, place.batch, place.first, Shape::queries));
    Seen seen = uniform(seen_by(a, place.batch, place.first + mine, 64));
    bool any = block.any_start < block.any_end, own_any = seen.any_start < seen.any_end;
    tiles.first_key = block.any_start / Shape::keys * Shape::keys;
    tiles.count = any ? (block.any_end - tiles.first_key + Shape::keys - 1) / Shape::keys : 0;
    GroupKeys own = {0, 0, seen.all_start, seen.all_end};
    if (own_any) {
        own.begin = (seen.any_start - tiles.first_key) / Shape::keys;
        own.end = (seen.any_end - tiles.first_key + Shape::keys - 1) / Shape::keys;
    }
    copy_halves<D, Shape::queries, Shape::threads>(queries, head_rows(*a.q, place.batch, place.head), place.first);
    tiles.bring(tiles.keys(0), rows.k, 0);
    copy_commit();
    WgmmaState<D> state;
UNROLL
    for (u32 row = 0; row < 2; row++) {
        state.top[row] = -INFINITY;
        state.total[row] = 0.0f;
    }
UNROLL
    for (u32 n = 0; n < D / 8; n++)
UNROLL
        for (u32 i = 0; i < 4; i++) state.out[n][i] = 0.0f;
    copy_wait<0>();
    wgmma_publish();
    __syncthreads();
    const u32 held = Shape::holds_queries ? D / 16 : 1;
    u32 q[held][4];
    if (Shape::holds_queries) {
        SharedAddress at = queries + threadIdx.x / 32 * 16 * WGMMA_ROW + lane_by_rows<64>();
UNROLL
        for (u32 i = 0; i < held; i++) load_left<64>(q[i], at, i);
        wgmma_settle(q);
    }
    attend_tiles<D>(task, state, tiles, own, q, queries + mine * WGMMA_ROW, a.scale * LOG2E);
    finish_wgmma<D>(task, state, shared);
}

#define WGMMA_BODY(D) flash_wgmma<D>(task)
#else
/// Of another GPU: nobody may start it there.
#define WGMMA_BODY(D) __trap()
#endif

KERNEL_OF(flash_attention_wgmma_64, 256, 2) { WGMMA_BODY(64); }
KERNEL_OF(flash_attention_wgmma_128, 256, 1) { WGMMA_BODY(128); }
