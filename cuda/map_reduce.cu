/// map_reduce: the bytecode of `map`, then a sum or a maximum over a mask of dims. A warp makes a
/// result, or a block where many elements become one; sums of floats are f64. Words: kind (0 sum, 1 max), mask, then those of `map`.
#pragma once
#include "bytecode.h"

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

struct Reduced {
    double sum;
    float top;
    u32 whole;
};

template <class How, class T> DEV T join(T value, bool wide, T* shared) {
    return wide ? block_join<How>(value, shared) : warp_join<How>(value);
}

#define WIDE_LENGTH 2048

KERNEL(map_reduce) {
    SHARED(double, shared);
    bool adds = task.words[0] == 0;
    u32 mask = task.words[1];
    Code code = decode(task.words + 2);
    const Operand& out = task.operands[code.inputs];
    const Operand& first = task.operands[0];
    u64 length = 1;
    for (u32 d = 0; d < first.rank; d++)
        if (mask >> d & 1) length *= first.dims[d];
    u32 registers[REGISTERS];
    load_constants(code, registers);
    u64 results = count_of(out);
    bool floats = out.dtype == F32 || out.dtype == BF16, is_signed = out.dtype == I32;
    // As `reduce_grid` of zig/cuda/launches.zig.
    bool wide = length > WIDE_LENGTH;
    u64 first_result = wide ? blockIdx.x : warp_index(), results_step = wide ? gridDim.x : warp_count();
    u64 first_step = wide ? threadIdx.x : lane(), steps = wide ? THREADS : 32;
    for (u64 k = first_result; k < results; k += results_step) {
        Reduced r = {0.0, -INFINITY, adds ? 0u : is_signed ? 0x80000000u : 0u};
        for (u64 step = first_step; step < length; step += steps) {
            for (u32 i = 0; i < code.inputs; i++) {
                const Operand& o = task.operands[i];
                registers[i] = load_register(o, reduced_offset(o, mask, k, step));
            }
            execute(code, registers);
            u32 value = registers[code.result[0]];
            if (floats) {
                if (adds) r.sum += float_of(value);
                else r.top = max_float(r.top, float_of(value));
            } else if (adds) r.whole += value;
            else if (is_signed) r.whole = (i32)value > (i32)r.whole ? value : r.whole;
            else r.whole = value > r.whole ? value : r.whole;
        }
        u32 result;
        if (floats && adds) result = bits_of((float)join<Add>(r.sum, wide, shared));
        else if (floats) result = bits_of(join<Max>(r.top, wide, (float*)shared));
        else if (adds) result = join<Add>(r.whole, wide, (u32*)shared);
        else if (is_signed) result = (u32)join<Max>((i32)r.whole, wide, (i32*)shared);
        else result = join<Max>(r.whole, wide, (u32*)shared);
        if (first_step == 0) store_register(out, k, result);
    }
}
