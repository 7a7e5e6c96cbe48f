/// N neighbouring elements (four or one) of an operand of any dtype as registers: floats as f32, the others as 32-bit
/// integers. Four are one access where the address allows it.
#pragma once
#include "vector.h"

DEV u32 dtype_bytes(u32 dtype) { return dtype == BF16 ? 2 : dtype == BOOL ? 1 : 4; }

/// Puts element `at` of memory at place j of a Raw.
DEV void fetch_one(const Operand& o, u64 at, u32 j, Raw& raw) {
    if (o.dtype == BF16) raw.word[j / 2] |= (u32)pointer<u16>(o)[at] << j % 2 * 16;
    else if (o.dtype == BOOL) raw.word[0] |= (u32)pointer<u8>(o)[at] << j * 8;
    else raw.word[j] = pointer<u32>(o)[at];
}

/// Elements at to at + count - 1 of memory, one by one. What is seldom needed is a function of its own: readers of many
/// inputs have the rest of a fetch as often as inputs.
template <int N> static __device__ __noinline__ Raw fetch_single(const Operand& o, u64 at, u32 count) {
    Raw raw = {};
#pragma unroll
    for (u32 j = 0; j < N; j++)
        if (j < count) fetch_one(o, at + j, j, raw);
    return raw;
}

/// One element of memory, N times.
template <int N> static __device__ __noinline__ Raw fetch_repeated(const Operand& o, u64 at) {
    Raw raw = {};
#pragma unroll
    for (u32 j = 0; j < N; j++) fetch_one(o, at, j, raw);
    return raw;
}

/// Elements at to at + count - 1 of memory, `count` at most N.
template <int N> DEV Raw fetch_lanes(const Operand& o, u64 at, u32 count) {
    u32 bytes = dtype_bytes(o.dtype);
    const u8* from = o.data + at * bytes;
    if (N != QUAD || count < QUAD || (u64)from % (QUAD * bytes) != 0) return fetch_single<N>(o, at, count);
    if (bytes == 4) return fetch16(from);
    if (bytes == 2) return fetch8(from);
    Raw raw = {{*reinterpret_cast<const u32*>(from), 0, 0, 0}};
    return raw;
}

template <int N> DEV void unpack_lanes(u32 dtype, const Raw& raw, u32* x) {
#pragma unroll
    for (int j = 0; j < N; j++) {
        if (dtype == BF16) x[j] = j % 2 == 1 ? raw.word[j / 2] & 0xffff0000u : raw.word[j / 2] << 16;
        else x[j] = dtype == BOOL ? raw.word[0] >> j * 8 & 255 : raw.word[j];
    }
}

DEV void store_one(const Operand& o, u64 at, u32 value) {
    if (o.dtype == BF16) pointer<u16>(o)[at] = bf16_of(float_of(value));
    else if (o.dtype == BOOL) pointer<u8>(o)[at] = value != 0;
    else pointer<u32>(o)[at] = value;
}

DEV void put_bf16(void* to, const u32* x) {
    put8(to, pack_bf16(float_of(x[0]), float_of(x[1])), pack_bf16(float_of(x[2]), float_of(x[3])));
}

/// The first `count` of x to elements `at` and on; bf16 rounds.
template <int N> DEV void store_lanes(const Operand& o, u64 at, u32 count, const u32* x) {
    u32 bytes = dtype_bytes(o.dtype);
    u8* to = o.data + at * bytes;
    if constexpr (N == QUAD) {
        if (count == QUAD && (u64)to % (QUAD * bytes) == 0) {
            if (bytes == 4) put16(to, x);
            else if (bytes == 2) put_bf16(to, x);
            else *reinterpret_cast<u32*>(to) = (x[0] != 0) | (x[1] != 0) << 8 | (x[2] != 0) << 16 | (x[3] != 0) << 24;
            return;
        }
    }
#pragma unroll
    for (u32 j = 0; j < N; j++)
        if (j < count) store_one(o, at + j, x[j]);
}

/// Between registers and shared memory.
template <int N> DEV void read_lanes(const u32* from, u32* x) {
    if (N == QUAD) {
        Raw raw = fetch16(from);
        for (int j = 0; j < N; j++) x[j] = raw.word[j];
    } else x[0] = *from;
}
template <int N> DEV void write_lanes(u32* to, const u32* x) {
    if (N == QUAD) put16(to, x);
    else *to = x[0];
}
