/// Threads that share a row: a warp, or the whole block where rows are long. A row is read four elements at a time and
/// kept in registers where it fits: thread `rank` of a team of `size` has the quads rank, rank + size, ...
#pragma once
#include "vector.h"

template <bool WIDE> struct Team {
    static const u32 size = WIDE ? THREADS : 32;
    static __device__ __forceinline__ u32 rank() { return WIDE ? threadIdx.x : lane(); }
    static __device__ __forceinline__ u64 first() { return WIDE ? blockIdx.x : warp_index(); }
    static __device__ __forceinline__ u64 step() { return WIDE ? gridDim.x : warp_count(); }
    /// Every thread of the team must call it and gets the result.
    template <class How, class T> static __device__ __forceinline__ T join(T value, T* shared) {
        return WIDE ? block_join<How>(value, shared) : warp_join<How>(value);
    }
    template <class T> static __device__ __forceinline__ T sum(T value, T* shared) {
        return join<Add>(value, shared);
    }
};

/// The part of a row that a thread keeps.
template <bool WIDE, int QUADS> struct Row {
    Raw raw[QUADS];

    /// Where quad k of this thread lies in the row.
    static __device__ __forceinline__ u32 at(int k) { return (k * Team<WIDE>::size + Team<WIDE>::rank()) * QUAD; }

    __device__ __forceinline__ void fetch_row(const Floats& s, u64 row, u32 c) {
#pragma unroll
        for (int k = 0; k < QUADS; k++)
            if (at(k) < c) raw[k] = fetch(s, row * c + at(k));
    }

    /// Zeros beyond the row.
    __device__ __forceinline__ void unpack(const Floats& s, u32 c, float (*x)[QUAD]) const {
#pragma unroll
        for (int k = 0; k < QUADS; k++) {
            if (at(k) < c) unpack4(s, raw[k], x[k]);
            else x[k][0] = x[k][1] = x[k][2] = x[k][3] = 0.0f;
        }
    }
};
