/// Vector types, votes and 32-bit atomics of CUDA for the host, over the shuffles of simt.h, which includes this file.
#pragma once

struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

namespace simt {

/// A GPU refuses a vector access that is not aligned to its size.
inline void check_aligned(const void* at, uint64_t bytes) {
    if ((uint64_t)at % bytes == 0) return;
    fprintf(stderr, "virtual GPU: an access of %d bytes at %p is not aligned\n", (int)bytes, at);
    abort();
}

inline unsigned ballot(bool vote) {
    unsigned votes = (unsigned)vote << current->id % 32;
    for (int distance = 16; distance > 0; distance /= 2) votes |= shuffle_xor(votes, distance);
    return votes;
}

inline unsigned shuffle(unsigned value, int from) {
    unsigned bits = current->id % 32 == from ? value : 0;
    for (int distance = 16; distance > 0; distance /= 2) bits |= shuffle_xor(bits, distance);
    return bits;
}

}  // namespace simt

#define __ballot_sync(mask, vote) (simt::expect_all(mask), simt::ballot(vote))
#define __popc __builtin_popcount
#define __ffs __builtin_ffs
#define __shfl_sync(mask, value, from) (simt::expect_all(mask), simt::shuffle(value, from))

inline unsigned atomicAdd(unsigned* at, unsigned value) {
    unsigned before = *at;
    *at += value;
    return before;
}
