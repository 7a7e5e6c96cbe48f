/// map_reduce: the bytecode of `map`, then a sum or a maximum over a mask of dims; sums of floats are f64. Words: kind (0 sum,
/// 1 max), mask, slices, then those of bytecode.h. Matrices have kernels of their own, for results along the columns and
/// along the rows. Where few results have many elements each, a block makes a slice of them and leaves what it has in the
/// workspace; map_reduce_join takes the slices in order.
#pragma once
#include "bytecode.h"

/// Most elements of a result that a warp makes; as `reduce_wide` of zig/cuda/launch_map.zig.
#define WIDE_LENGTH 2048

/// How a thread joins values.
enum Joining { SUM_FLOAT, MAX_FLOAT, SUM_WHOLE, MAX_SIGNED, MAX_UNSIGNED };

struct Reduction {
    Code code;
    const Operand* out;
    u64* slices_at;
    u32 mask, slices;
    Joining joining;
};

DEV Reduction reduction_of(const Task& task) {
    Reduction r;
    r.mask = task.words[1];
    r.slices = task.words[2];
    r.code = decode(task.words + 3);
    r.out = task.operands + r.code.inputs;
    r.slices_at = r.slices > 1 ? pointer<u64>(r.out[1]) : 0;
    bool adds = task.words[0] == 0, floats = r.out->dtype == F32 || r.out->dtype == BF16;
    if (floats) r.joining = adds ? SUM_FLOAT : MAX_FLOAT;
    else if (adds) r.joining = SUM_WHOLE;
    else r.joining = r.out->dtype == I32 ? MAX_SIGNED : MAX_UNSIGNED;
    return r;
}

/// What has been joined so far: the bits of a double, of a float or of an integer.
DEV u64 bits_of_double(double x) {
    union { double d; u64 u; } both;
    both.d = x;
    return both.u;
}
DEV u64 start_of(Joining how) {
    switch (how) {
        case MAX_FLOAT: return bits_of(-INFINITY);
        case MAX_SIGNED: return 0x80000000u;
        default: return 0;
    }
}
DEV u64 join_bits(Joining how, u64 a, u64 b) {
    u32 x = (u32)a, y = (u32)b;
    switch (how) {
        case SUM_FLOAT: return bits_of_double(double_of(x, (u32)(a >> 32)) + double_of(y, (u32)(b >> 32)));
        case MAX_FLOAT: return bits_of(max_float(float_of(x), float_of(y)));
        case SUM_WHOLE: return x + y;
        case MAX_SIGNED: return (i32)x > (i32)y ? x : y;
        default: return x > y ? x : y;
    }
}
DEV u64 add_value(Joining how, u64 sum, u32 value) {
    return join_bits(how, sum, how == SUM_FLOAT ? bits_of_double((double)float_of(value)) : value);
}
DEV void store_result(const Reduction& r, u64 at, u64 bits) {
    u32 high = (u32)(bits >> 32), low = (u32)bits;
    store_one(*r.out, at, r.joining == SUM_FLOAT ? bits_of((float)double_of(low, high)) : low);
}

DEV u64 warp_join_bits(Joining how, u64 value) {
    for (int distance = 16; distance > 0; distance /= 2)
        value = join_bits(how, value, __shfl_xor_sync(0xffffffffu, value, distance));
    return value;
}

/// Joins what the threads of a block have; every thread gets it. The block's shared memory is free before and after.
DEV u64 block_join_bits(Joining how, u64 value, u64* shared) {
    value = warp_join_bits(how, value);
    __syncthreads();
    if (lane() == 0) shared[threadIdx.x / 32] = value;
    __syncthreads();
    u64 all = shared[0];
    for (u32 warp = 1; warp < WARPS; warp++) all = join_bits(how, all, shared[warp]);
    __syncthreads();
    return all;
}

/// Elements row, column to column + N - 1 of a matrix, or of a vector as its only row.
template <int N> DEV Raw fetch_at(const Operand& o, u64 row, u64 column, u32 count) {
    u64 in_row = o.strides[o.rank - 1], at = (o.rank > 1 ? row * o.strides[0] : 0) + column * in_row;
    return in_row == 1 ? fetch_lanes<N>(o, at, count) : fetch_repeated<N>(o, at);
}

template <int N>
DEV void values_at(const Task& task, const Reduction& r, u32* slots, u64 row, u64 column, u32 count, u32* x) {
    if (r.code.count == 0) return unpack_lanes<N>(task.operands->dtype, fetch_at<N>(*task.operands, row, column, count), x);
    load_inputs<N>(task, r.code, slots, [&](u32 k) { return fetch_at<N>(task.operands[k], row, column, count); });
    execute<N>(r.code.words, slots);
    read_slot<N>(r.code, slots, r.code.result[0], x);
}

struct Span {
    u64 begin, end;
};
/// Slice blockIdx.y of n things, in whole multiples of `unit`.
DEV Span slice_of(u64 n, u32 slices, u32 unit) {
    u64 each = (n + (u64)slices * unit - 1) / ((u64)slices * unit) * unit, begin = blockIdx.y * each;
    Span s = {begin < n ? begin : n, begin + each < n ? begin + each : n};
    return s;
}

/// A result a column: a block takes 128 columns and a slice of the rows, a warp every eighth of those.
KERNEL(map_reduce_columns) {
    SHARED(u64, shared);
    Reduction r = reduction_of(task);
    u64 rows = task.operands->dims[0], columns = task.operands->dims[1];
    u64 column = ((u64)blockIdx.x * 32 + lane()) * QUAD;
    u64 sums[QUAD];
    for (int j = 0; j < QUAD; j++) sums[j] = start_of(r.joining);
    Span span = slice_of(rows, r.slices, 1);
    if (column < columns) {
        u32 count = columns - column < QUAD ? (u32)(columns - column) : QUAD;
#pragma unroll 4
        for (u64 row = span.begin + threadIdx.x / 32; row < span.end; row += WARPS) {
            u32 x[QUAD];
            values_at<QUAD>(task, r, (u32*)shared, row, column, count, x);
#pragma unroll
            for (int j = 0; j < QUAD; j++) sums[j] = add_value(r.joining, sums[j], x[j]);
        }
    }
    __syncthreads();
    for (int j = 0; j < QUAD; j++) shared[threadIdx.x * QUAD + j] = sums[j];
    __syncthreads();
    u32 own = threadIdx.x;
    column = (u64)blockIdx.x * 32 * QUAD + own;
    if (own >= 32 * QUAD || column >= columns) return;
    u64 sum = shared[own];
    for (u32 warp = 1; warp < WARPS; warp++) sum = join_bits(r.joining, sum, shared[warp * 32 * QUAD + own]);
    if (r.slices > 1) r.slices_at[blockIdx.y * columns + column] = sum;
    else store_result(r, column, sum);
}

/// A result a row: a warp takes a row, or a block a slice of it where rows are long.
KERNEL(map_reduce_rows) {
    SHARED(u64, shared);
    Reduction r = reduction_of(task);
    const Operand& first = *task.operands;
    u64 rows = first.rank > 1 ? first.dims[0] : 1, columns = first.dims[first.rank - 1];
    bool wide = columns > WIDE_LENGTH;
    Span span = slice_of(columns, r.slices, QUAD);
    u64 begin = span.begin + (wide ? threadIdx.x : lane()) * QUAD;
    for (u64 row = wide ? blockIdx.x : warp_index(); row < rows; row += wide ? gridDim.x : warp_count()) {
        u64 sum = start_of(r.joining);
#pragma unroll 2
        for (u64 column = begin; column < span.end; column += (wide ? THREADS : 32) * QUAD) {
            u32 x[QUAD], count = span.end - column < QUAD ? (u32)(span.end - column) : QUAD;
            values_at<QUAD>(task, r, (u32*)shared, row, column, count, x);
#pragma unroll
            for (u32 j = 0; j < QUAD; j++)
                if (j < count) sum = add_value(r.joining, sum, x[j]);
        }
        sum = wide ? block_join_bits(r.joining, sum, shared) : warp_join_bits(r.joining, sum);
        if (wide ? threadIdx.x != 0 : lane() != 0) continue;
        if (r.slices > 1) r.slices_at[blockIdx.y * rows + row] = sum;
        else store_result(r, row, sum);
    }
}

/// A block takes 32 results, a warp every eighth slice of them.
KERNEL(map_reduce_join) {
    SHARED(u64, shared);
    Reduction r = reduction_of(task);
    u64 results = count_of(*r.out), k = (u64)blockIdx.x * 32 + lane(), sum = start_of(r.joining);
    if (k < results)
        for (u32 slice = threadIdx.x / 32; slice < r.slices; slice += WARPS)
            sum = join_bits(r.joining, sum, r.slices_at[slice * results + k]);
    shared[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x >= 32 || k >= results) return;
    for (u32 warp = 1; warp < WARPS; warp++) sum = join_bits(r.joining, sum, shared[warp * 32 + lane()]);
    store_result(r, k, sum);
}

/// Element (result, step) of an input: the reduced dims count `step`, the others `result`.
DEV u64 reduced_offset(const Operand& o, u32 mask, u64 result, u64 step) {
    u64 at = 0;
    for (int d = o.rank - 1; d >= 0; d--) {
        u64& from = mask >> d & 1 ? step : result;
        at += from % o.dims[d] * o.strides[d];
        from /= o.dims[d];
    }
    return at;
}

/// Any other dims and programs, an element at a time: a warp a result, or a block where many elements become one.
KERNEL(map_reduce_any) {
    SHARED(u64, shared);
    Reduction r = reduction_of(task);
    const Operand& first = *task.operands;
    u64 length = 1, results = count_of(*r.out);
    for (u32 d = 0; d < first.rank; d++)
        if (r.mask >> d & 1) length *= first.dims[d];
    bool wide = length > WIDE_LENGTH;
    for (u64 k = wide ? blockIdx.x : warp_index(); k < results; k += wide ? gridDim.x : warp_count()) {
        u64 sum = start_of(r.joining);
        for (u64 step = wide ? threadIdx.x : lane(); step < length; step += wide ? THREADS : 32) {
            u32 x[1];
            load_inputs<1>(task, r.code, (u32*)shared, [&](u32 i) {
                return fetch_lanes<1>(task.operands[i], reduced_offset(task.operands[i], r.mask, k, step), 1);
            });
            execute<1>(r.code.words, (u32*)shared);
            read_slot<1>(r.code, (u32*)shared, r.code.result[0], x);
            sum = add_value(r.joining, sum, x[0]);
        }
        sum = wide ? block_join_bits(r.joining, sum, shared) : warp_join_bits(r.joining, sum);
        if ((wide ? threadIdx.x : lane()) == 0) store_result(r, k, sum);
    }
}
