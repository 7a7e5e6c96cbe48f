/// Four neighbouring elements in one access: 16 bytes of f32, 8 bytes of bf16. Loads come in raw and become floats later, so
/// that a thread has several of them under way before it waits for the first.
#pragma once
#include "theseus.h"

/// Elements of an access.
#define QUAD 4

/// A contiguous operand of floats.
struct Floats {
    u8* data;
    bool half;
};

/// What a load brought, in the operand's own dtype.
struct Raw {
    u32 word[4];
};

DEV Floats floats_of(const Operand& o) {
    Floats s = {o.data, o.dtype == BF16};
    return s;
}

/// Whether elements of the operand can be read four at a time from every multiple of four.
DEV bool is_aligned(const Operand& o) {
    u64 bytes = o.dtype == BF16 ? 2 : o.dtype == BOOL ? 1 : 4;
    return (u64)o.data % (QUAD * bytes) == 0;
}

DEV void check_aligned(const void* at, u64 bytes) {
#ifdef THESEUS_VIRTUAL_GPU
    simt::check_aligned(at, bytes);
#endif
}

DEV Raw fetch16(const void* at) {
    check_aligned(at, 16);
    uint4 w = *reinterpret_cast<const uint4*>(at);
    Raw r = {{w.x, w.y, w.z, w.w}};
    return r;
}
DEV Raw fetch8(const void* at) {
    check_aligned(at, 8);
    uint2 w = *reinterpret_cast<const uint2*>(at);
    Raw r = {{w.x, w.y, 0, 0}};
    return r;
}
DEV void put16(void* at, const u32* w) {
    check_aligned(at, 16);
    uint4 v = {w[0], w[1], w[2], w[3]};
    *reinterpret_cast<uint4*>(at) = v;
}
DEV void put8(void* at, u32 a, u32 b) {
    check_aligned(at, 8);
    uint2 v = {a, b};
    *reinterpret_cast<uint2*>(at) = v;
}

/// Elements `at` to `at` + 3; `at` is a multiple of four.
DEV Raw fetch(const Floats& s, u64 at) { return s.half ? fetch8(s.data + at * 2) : fetch16(s.data + at * 4); }

DEV void unpack4(const Floats& s, const Raw& r, float* x) {
    u32 a = r.word[0], b = r.word[1];
    x[0] = float_of(s.half ? a << 16 : a);
    x[1] = float_of(s.half ? a & 0xffff0000u : b);
    x[2] = float_of(s.half ? b << 16 : r.word[2]);
    x[3] = float_of(s.half ? b & 0xffff0000u : r.word[3]);
}

DEV u32 pack_bf16(float low, float high) { return (u32)bf16_of(high) << 16 | bf16_of(low); }

DEV void store4(const Floats& s, u64 at, const float* x) {
    if (s.half) {
        put8(s.data + at * 2, pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3]));
    } else {
        u32 words[QUAD] = {bits_of(x[0]), bits_of(x[1]), bits_of(x[2]), bits_of(x[3])};
        put16(s.data + at * 4, words);
    }
}

DEV void load4(const Floats& s, u64 at, float* x) {
    Raw raw = fetch(s, at);
    unpack4(s, raw, x);
}

DEV float load1(const Floats& s, u64 at) {
    return s.half ? float_of((u32)reinterpret_cast<u16*>(s.data)[at] << 16) : reinterpret_cast<float*>(s.data)[at];
}
DEV void store1(const Floats& s, u64 at, float x) {
    if (s.half) reinterpret_cast<u16*>(s.data)[at] = bf16_of(x);
    else reinterpret_cast<float*>(s.data)[at] = x;
}
