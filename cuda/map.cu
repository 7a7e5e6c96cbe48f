/// map: elementwise bytecode over strided inputs; results are contiguous and may be the memory of inputs of equal dims.
/// Words: see decode of bytecode.h, then how each input is read.
#pragma once
#include "bytecode.h"
#include "place.h"

/// As `Access` of zig/cuda/launch_map.zig: element i lies at i; every element is the first; whole quads lie in a row of the
/// last dim, or are one element of it; no rule.
enum Access { FLAT = 0, SCALAR = 1, ROW = 2, ROW_REPEATED = 3, ANYWHERE = 4 };

template <int N> static __device__ __noinline__ Raw fetch_anywhere(const Operand& o, u64 i, u32 count) {
    Raw raw = {};
#pragma unroll
    for (u32 j = 0; j < N; j++)
        if (j < count) fetch_one(o, place_of(o, i + j, o.rank), j, raw);
    return raw;
}

/// Where element i lies whose row is dense, or is one element again and again.
static __device__ __noinline__ u64 row_place(const Operand& o, u64 i, bool dense) {
    u32 last = o.dims[o.rank - 1];
    u64 row = divide(i, last);
    return place_of(o, row, o.rank - 1) + (dense ? i - row * last : 0);
}

template <int N> DEV Raw fetch_input(const Operand& o, u32 access, u64 i, u32 count) {
    if (access == ANYWHERE) return fetch_anywhere<N>(o, i, count);
    u64 at = access == FLAT ? i : 0;
    if (access == ROW || access == ROW_REPEATED) at = row_place(o, i, access == ROW);
    return access == FLAT || access == ROW ? fetch_lanes<N>(o, at, count) : fetch_repeated<N>(o, at);
}

template <int N> DEV void run_map(const Task& task) {
    SHARED(u32, slots);
    Code code = decode(task.words);
    const Operand* results = task.operands + code.inputs;
    u64 n = count_of(results[0]);
    for (u64 group = thread_index(); group * N < n; group += thread_count()) {
        u64 i = group * N;
        u32 count = n - i < N ? (u32)(n - i) : N;
        load_inputs<N>(task, code, slots, [&](u32 k) {
            return fetch_input<N>(task.operands[k], code.access[k], i, count);
        });
        execute<N>(code.words, slots);
        for (u32 r = 0; r < code.results; r++) {
            u32 x[N];
            read_slot<N>(code, slots, code.result[r], x);
            store_lanes<N>(results[r], i, count, x);
        }
    }
}

KERNEL(map) { run_map<QUAD>(task); }

/// Programs with too many values at a time for four elements.
KERNEL(map_single) { run_map<1>(task); }
