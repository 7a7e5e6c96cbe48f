/// scatter_add and embedding_grad: rows added to the rows of a table that ids name, without atomics on floats and in an order
/// that depends on the ids alone. The ids are sorted first: `scatter_count` counts those of every row, `scatter_scan` makes
/// of the counts where each row's list begins, `scatter_place` writes the lists, each in the order of the ids, and
/// `scatter_add` adds up every list, blockIdx.y a stripe of the columns. The table starts as the base (`copy`) or as zeros (`fill`).
/// Operands: ids [n], updates [n, ...], table f32 [V, ...], workspace u32 [V + 1 + n]: starts of the lists, then the lists.
#pragma once
#include "vector.h"

/// Rows of the table that a warp places ids for; as `placed_rows` of zig/cuda/launch_scatter.zig.
#define PLACED_ROWS 128
/// Ids that a lane has under way.
#define PLACED_AT_ONCE 16
#define NOBODY 0xffffffffu
/// Longest list that a warp adds up by itself.
#define SHORT_LIST 32

struct Scatter {
    const Operand *ids, *updates;
    float* table;
    u32 *starts, *lists;
    u64 n, rows, row;
};

DEV Scatter scatter_of(const Task& task) {
    const Operand *o = task.operands, *table = o + 2;
    Scatter s;
    s.ids = o;
    s.updates = o + 1;
    s.table = pointer<float>(*table);
    s.n = count_of(*o);
    s.rows = table->dims[0];
    s.row = count_of(*table) / s.rows;
    s.starts = pointer<u32>(o[3]);
    s.lists = s.starts + s.rows + 1;
    return s;
}

/// The counts start as zeros.
KERNEL(scatter_count) {
    Scatter s = scatter_of(task);
    for (u64 k = thread_index(); k < s.n; k += thread_count()) {
        i64 id = load_index(*s.ids, k);
        if (id < 0 || id >= (i64)s.rows) fail(task, fault, k, id);
        else atomicAdd(s.starts + id, 1u);
    }
}

/// Exclusive sums of the counts, in place; one block.
KERNEL(scatter_scan) {
    SHARED(u32, shared);
    Scatter s = scatter_of(task);
    u64 each = (s.rows + THREADS - 1) / THREADS, begin = threadIdx.x * each, end = begin + each;
    if (end > s.rows) end = s.rows;
    u32 own = 0;
    for (u64 i = begin; i < end; i++) own += s.starts[i];
    shared[threadIdx.x] = own;
    __syncthreads();
    for (u32 distance = 1; distance < THREADS; distance *= 2) {
        u32 before = threadIdx.x >= distance ? shared[threadIdx.x - distance] : 0;
        __syncthreads();
        shared[threadIdx.x] += before;
        __syncthreads();
    }
    u32 at = shared[threadIdx.x] - own;
    for (u64 i = begin; i < end; i++) {
        u32 count = s.starts[i];
        s.starts[i] = at;
        at += count;
    }
    if (threadIdx.x == THREADS - 1) s.starts[s.rows] = at;
}

/// Writes position k of each lane to the list of its row, in the order of the lanes; NOBODY has none.
DEV void place(const Scatter& s, u32 row, u64 k, u32* next) {
    u32 waiting = __ballot_sync(0xffffffffu, row != NOBODY);
    while (waiting != 0) {
        u32 theirs = __shfl_sync(0xffffffffu, row, __ffs(waiting) - 1);
        u32 same = __ballot_sync(0xffffffffu, row == theirs), at = next[theirs];
        if (row == theirs) s.lists[at + __popc(same & ((1u << lane()) - 1))] = (u32)k;
        __syncwarp();
        if (lane() == 0) next[theirs] = at + __popc(same);
        __syncwarp();
        waiting &= ~same;
    }
}

/// A warp writes the lists of its rows: it looks at all ids in order.
KERNEL(scatter_place) {
    SHARED(u32, shared);
    Scatter s = scatter_of(task);
    u64 warps = warp_count(), each = (s.rows + warps - 1) / warps, begin = warp_index() * each, end = begin + each;
    if (end > s.rows) end = s.rows;
    // Where each list goes on.
    u32* next = shared + threadIdx.x / 32 * PLACED_ROWS;
    for (u64 i = begin + lane(); i < end; i += 32) next[i - begin] = s.starts[i];
    __syncwarp();
    for (u64 first = 0; first < s.n; first += 32 * PLACED_AT_ONCE) {
        i64 ids[PLACED_AT_ONCE];
#pragma unroll
        for (u32 i = 0; i < PLACED_AT_ONCE; i++) {
            u64 k = first + i * 32 + lane();
            ids[i] = k < s.n ? load_index(*s.ids, k) : -1;
        }
#pragma unroll
        for (u32 i = 0; i < PLACED_AT_ONCE; i++) {
            bool mine = ids[i] >= (i64)begin && ids[i] < (i64)end;
            place(s, mine ? (u32)(ids[i] - (i64)begin) : NOBODY, first + i * 32 + lane(), next);
        }
    }
}

/// Adds updates first, first + step, ... of a list to sums of N neighbouring columns.
template <int N> DEV void add_list(const Scatter& s, u32 first, u32 end, u32 step, u64 column, float* sums) {
    Floats updates = floats_of(*s.updates);
#pragma unroll 8
    for (u32 i = first; i < end; i += step) {
        u64 at = (u64)s.lists[i] * s.row + column;
        float x[QUAD];
        if (N == QUAD) load4(updates, at, x);
        else x[0] = load1(updates, at);
#pragma unroll
        for (int j = 0; j < N; j++) sums[j] += x[j];
    }
}

/// A short list by a warp: element by element in the order of the ids, on top of what the table has.
template <int N> DEV void add_short(const Scatter& s, u64 row) {
    u32 begin = s.starts[row], end = s.starts[row + 1];
    if (begin == end || end - begin > SHORT_LIST) return;
    for (u64 column = ((u64)blockIdx.y * 32 + lane()) * N; column < s.row; column += (u64)gridDim.y * 32 * N) {
        float* to = s.table + row * s.row + column;
        float sums[N];
#pragma unroll
        for (int j = 0; j < N; j++) sums[j] = to[j];
        add_list<N>(s, begin, end, 1, column, sums);
#pragma unroll
        for (int j = 0; j < N; j++) to[j] = sums[j];
    }
}

/// A long list by a block: each warp sums every eighth update, the warps' sums are joined in order.
template <int N> DEV void add_long(const Scatter& s, u64 row, float* shared) {
    u32 begin = s.starts[row], end = s.starts[row + 1];
    if (end - begin <= SHORT_LIST) return;
    u32 warp = threadIdx.x / 32;
    for (u64 stripe = (u64)blockIdx.y * 32 * N; stripe < s.row; stripe += (u64)gridDim.y * 32 * N) {
        u64 column = stripe + lane() * N;
        float sums[N] = {};
        if (column < s.row) add_list<N>(s, begin + warp, end, WARPS, column, sums);
#pragma unroll
        for (int j = 0; j < N; j++) shared[threadIdx.x * N + j] = sums[j];
        __syncthreads();
        u64 own = stripe + threadIdx.x;
        if (threadIdx.x < 32 * N && own < s.row) {
            float sum = s.table[row * s.row + own];
            for (u32 w = 0; w < WARPS; w++) sum += shared[w * 32 * N + threadIdx.x];
            s.table[row * s.row + own] = sum;
        }
        __syncthreads();
    }
}

template <int N> DEV void add_rows(const Scatter& s, float* shared) {
    for (u64 row0 = (u64)blockIdx.x * WARPS; row0 < s.rows; row0 += (u64)gridDim.x * WARPS) {
        u64 own = row0 + threadIdx.x / 32;
        if (own < s.rows) add_short<N>(s, own);
        for (u64 row = row0; row < row0 + WARPS && row < s.rows; row++) add_long<N>(s, row, shared);
    }
}

KERNEL(scatter_add) {
    SHARED(float, shared);
    Scatter s = scatter_of(task);
    bool aligned = s.row % QUAD == 0 && is_aligned(*s.updates) && is_aligned(task.operands[2]);
    if (aligned) add_rows<QUAD>(s, shared);
    else add_rows<1>(s, shared);
}
