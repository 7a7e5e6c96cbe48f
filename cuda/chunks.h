/// Kernels over the elements of many tensors at once: blockIdx.x is a chunk, chunks of one tensor follow each other, and a table
/// holds the first chunk of every tensor.
#pragma once
#include "vector.h"

struct Chunk {
    u32 tensor;
    /// Elements of the tensor.
    u64 start, end;
};

/// Of an operand that is f32 in any case.
DEV Floats f32_of(const Operand& o) {
    Floats s = {o.data, false};
    return s;
}

/// `firsts` ascends from 0. The last tensor that begins at or before this block's chunk; empty ones begin where the next does.
DEV Chunk chunk_of(const u32* firsts, u32 tensors, u32 chunk_elements) {
    u32 low = 0, high = tensors;
    while (high - low > 1) {
        u32 middle = (low + high) / 2;
        if (firsts[middle] <= blockIdx.x) low = middle;
        else high = middle;
    }
    Chunk c = {low, (u64)(blockIdx.x - firsts[low]) * chunk_elements, 0};
    c.end = c.start + chunk_elements;
    return c;
}
