/// Rows that are turned into probabilities: what softmax and the cross-entropies share.
#pragma once
#include "team.h"

/// Longer rows are a block's, as `wide_row` of zig/cuda/launches.zig.
#define WIDE_LOGITS 1024
/// Quads that a thread has under way.
#define LOGIT_QUADS 4

/// Largest logit of a part of a row, and the sum of exponentials relative to it.
struct Partition {
    float top, sum;
};

DEV void include(Partition& p, const float* x, u32 count) {
    float top = x[0];
    for (u32 j = 1; j < count; j++) top = max_float(top, x[j]);
    if (!(top <= p.top)) {
        p.sum *= expf(p.top - top);
        p.top = top;
    }
    if (p.top == -INFINITY) return;
    for (u32 j = 0; j < count; j++) p.sum += expf(x[j] - p.top);
}

/// One row of logits, as a team's threads share it.
template <bool WIDE> struct Logits {
    Floats x;
    u64 base;
    /// Elements before `whole` are read four at a time.
    u32 classes, whole;

    typedef Team<WIDE> T;
    static const u32 stride = T::size * QUAD, step = stride * LOGIT_QUADS;

    __device__ __forceinline__ u32 steps() const { return (whole + step - 1) / step; }

    __device__ __forceinline__ void fetch_step(u32 at, Raw* raw) const {
#pragma unroll
        for (u32 k = 0; k < LOGIT_QUADS; k++)
            if (at + k * stride < whole) raw[k] = fetch(x, base + at + k * stride);
    }

    /// Every thread gets the row's.
    __device__ __forceinline__ Partition partition(float* shared) const {
        Partition own = {-INFINITY, 0.0f}, all;
        for (u32 s = 0; s < steps(); s++) {
            Raw raw[LOGIT_QUADS];
            u32 at = s * step + T::rank() * QUAD;
            fetch_step(at, raw);
#pragma unroll
            for (u32 k = 0; k < LOGIT_QUADS; k++) {
                if (at + k * stride >= whole) continue;
                float quad[QUAD];
                unpack4(x, raw[k], quad);
                include(own, quad, QUAD);
            }
        }
        for (u32 i = whole + T::rank(); i < classes; i += T::size) {
            float one = load1(x, base + i);
            include(own, &one, 1);
        }
        all.top = T::template join<Max>(own.top, shared);
        float scaled = own.top == -INFINITY ? 0.0f : own.sum * expf(own.top - all.top);
        all.sum = T::sum(scaled, shared);
        return all;
    }

    /// exp(x - top) * scale, less dloss at the target.
    __device__ __forceinline__ void differentiate(const Partition& p, u32 target, float dloss) const {
        float scale = dloss / p.sum;
        for (u32 s = steps(); s-- > 0;) {
            Raw raw[LOGIT_QUADS];
            u32 at = s * step + T::rank() * QUAD;
            fetch_step(at, raw);
#pragma unroll
            for (u32 k = 0; k < LOGIT_QUADS; k++) {
                u32 from = at + k * stride;
                if (from >= whole) continue;
                float quad[QUAD];
                unpack4(x, raw[k], quad);
                for (u32 j = 0; j < QUAD; j++)
                    quad[j] = expf(quad[j] - p.top) * scale - (from + j == target ? dloss : 0.0f);
                store4(x, base + from, quad);
            }
        }
        for (u32 i = whole + T::rank(); i < classes; i += T::size) {
            float e = expf(load1(x, base + i) - p.top) * scale;
            store1(x, base + i, e - (i == target ? dloss : 0.0f));
        }
    }

    /// to[i] = f(x[i], i) for the whole row.
    template <class F> __device__ __forceinline__ void each(const Floats& to, F f) const {
        for (u32 i = T::rank() * QUAD; i < whole; i += stride) {
            float quad[QUAD];
            load4(x, base + i, quad);
#pragma unroll
            for (u32 j = 0; j < QUAD; j++) quad[j] = f(quad[j], i + j);
            store4(to, base + i, quad);
        }
        for (u32 i = whole + T::rank(); i < classes; i += T::size) store1(to, base + i, f(load1(x, base + i), i));
    }

    __device__ __forceinline__ void clear() const {
        float zeros[QUAD] = {};
        for (u32 i = T::rank() * QUAD; i < whole; i += stride) store4(x, base + i, zeros);
        for (u32 i = whole + T::rank(); i < classes; i += T::size) store1(x, base + i, 0.0f);
    }
};

/// Row `row` of a contiguous matrix; `aligned`: of what else is read or written at the same places.
template <bool WIDE> DEV Logits<WIDE> row_of(const Operand& o, u64 row, bool aligned) {
    u32 c = (u32)last_dim(o);
    Logits<WIDE> l = {floats_of(o), row * c, c, aligned && is_aligned(o) && c % QUAD == 0 ? c : 0};
    return l;
}
