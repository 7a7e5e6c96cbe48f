/// argmax: index of the largest element of each row; the lowest index wins, NaN counts as the largest. A warp a row.
#pragma once
#include "theseus.h"

/// An order of floats as integers in which NaN is above everything and -0 equals 0.
DEV u32 rank_of(float x) {
    if (x != x) return 0xffffffffu;
    u32 bits = bits_of(x == 0.0f ? 0.0f : x);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

struct Later {
    /// Rank in the upper half, the complement of the index below: the larger wins, of equals the lower index.
    static __device__ __forceinline__ u64 join(u64 a, u64 b) { return a > b ? a : b; }
};

KERNEL(argmax) {
    const Operand &in = task.operands[0], &out = task.operands[1];
    u64 n = last_dim(in), rows = row_count(in);
    for (u64 row = warp_index(); row < rows; row += warp_count()) {
        u64 best = 0;
        for (u64 i = lane(); i < n; i += 32) {
            u64 candidate = (u64)rank_of(load_float(in, row * n + i)) << 32 | (u32)~(u32)i;
            best = Later::join(best, candidate);
        }
        best = warp_join<Later>(best);
        if (lane() == 0) pointer<u32>(out)[row] = ~(u32)best;
    }
}
