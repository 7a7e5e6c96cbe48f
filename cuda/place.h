/// Where elements of strided operands lie; division of 32 bits where the index allows it.
#pragma once
#include "theseus.h"

/// Where element `index` of the first `rank` dims lies.
static __device__ __noinline__ u64 place_of(const Operand& o, u64 index, int rank) {
    u64 at = 0;
    if (index >> 32 == 0) {
        u32 rest = (u32)index;
        for (int d = rank - 1; d >= 0; d--) {
            u32 dim = o.dims[d], next = rest / dim;
            at += (rest - next * dim) * o.strides[d];
            rest = next;
        }
        return at;
    }
    for (int d = rank - 1; d >= 0; d--) {
        at += index % o.dims[d] * o.strides[d];
        index /= o.dims[d];
    }
    return at;
}
