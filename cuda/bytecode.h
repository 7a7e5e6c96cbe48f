/// The bytecode of `map` and `map_reduce`: a thread runs every instruction for N neighbouring elements, so that decoding
/// is paid once for all of them. Values lie in shared memory, one slot each: zig/cuda/launch_map.zig translates the words of
/// an instruction so that values that are not needed at the same time share a slot.
#pragma once
#include "lanes.h"
#include "map_ops.h"

#define MAP_INPUTS 8

/// Operands of an instruction as launch_map.zig writes them: slots, constants from here on, or nothing.
#define SLOT_CONSTANT 64
#define SLOT_NONE 255

/// The words of a `map`, taken apart.
struct Code {
    u32 inputs, results, count;
    const u32 *words, *constant, *code, *result, *access;
};

DEV Code decode(const u32* words) {
    Code c;
    c.words = words;
    c.inputs = words[0];
    c.results = words[1];
    c.count = words[3];
    c.constant = words + 4;
    c.code = c.constant + words[2];
    c.result = c.code + 2 * c.count;
    c.access = c.result + c.results;
    return c;
}

/// This thread's part of a slot: only it reads and writes there.
template <int N> DEV u32* slot_at(u32* slots, u32 slot) { return slots + (slot * THREADS + threadIdx.x) * N; }

template <int N> DEV void read_slot(const Code& c, u32* slots, u32 from, u32* x) {
    if (from < SLOT_CONSTANT) {
        read_lanes<N>(slot_at<N>(slots, from), x);
    } else {
        u32 value = from == SLOT_NONE ? 0 : c.constant[from - SLOT_CONSTANT];
        for (int j = 0; j < N; j++) x[j] = value;
    }
}

/// `words`: of decode. A function of its own: there is one copy of all instructions for the kernels that run them.
template <int N> static __device__ __noinline__ void execute(const u32* words, u32* slots) {
    Code c = decode(words);
    for (u32 k = 0; k < c.count; k++) {
        u32 word = c.code[2 * k], to = c.code[2 * k + 1];
        u32 x[N], y[N], z[N], r[N];
        read_slot<N>(c, slots, word >> 8 & 255, x);
        read_slot<N>(c, slots, word >> 16 & 255, y);
        read_slot<N>(c, slots, word >> 24, z);
        map_apply<N>(word & 255, x, y, z, r);
        write_lanes<N>(slot_at<N>(slots, to), r);
    }
}

/// Fetches what `fetch(k)` says for every input, all before the first is waited for.
template <int N, class Fetch> DEV void load_inputs(const Task& task, const Code& c, u32* slots, Fetch fetch) {
    Raw raw[MAP_INPUTS];
#pragma unroll
    for (u32 k = 0; k < MAP_INPUTS; k++)
        if (k < c.inputs) raw[k] = fetch(k);
#pragma unroll
    for (u32 k = 0; k < MAP_INPUTS; k++) {
        if (k >= c.inputs) continue;
        u32 x[N];
        unpack_lanes<N>(task.operands[k].dtype, raw[k], x);
        write_lanes<N>(slot_at<N>(slots, k), x);
    }
}
