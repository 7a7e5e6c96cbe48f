/// linear_cross_entropy and its gradient take rows in chunks: products put a chunk's logits into the workspace, the kernels here
/// turn them into losses (and, in place, into dlogits), products make dx and dw of those. A row is read once for its largest
/// logit and the sum of exponentials together, and once more, from its end, for the gradient: that comes from the cache.
/// Operands: logits [rows, V] (rows may be apart), targets [rows], loss, lse (, dloss). Words: first row of the chunk.
#pragma once
#include "team.h"

/// Longer rows are a block's, as `wide_row` of zig/cuda/launch_loss.zig.
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

    __device__ __forceinline__ void clear() const {
        float zeros[QUAD] = {};
        for (u32 i = T::rank() * QUAD; i < whole; i += stride) store4(x, base + i, zeros);
        for (u32 i = whole + T::rank(); i < classes; i += T::size) store1(x, base + i, 0.0f);
    }
};

template <bool WIDE> static __device__ void loss_rows(const Task& task, Fault* fault, bool grad, float* shared) {
    typedef Team<WIDE> T;
    const Operand &logits = task.operands[0], &targets = task.operands[1];
    u64 m = logits.dims[0], apart = logits.strides[0];
    u32 v = logits.dims[1];
    bool aligned = is_aligned(logits) && apart % QUAD == 0;
    for (u64 row = T::first(); row < m; row += T::step()) {
        Logits<WIDE> l = {floats_of(logits), row * apart, v, aligned ? v / QUAD * QUAD : 0};
        i64 target = load_target(task, fault, targets, row, task.words[0] + row, v);
        float chosen = target < 0 ? 0.0f : load1(l.x, l.base + (u64)target);
        Partition p = l.partition(shared);
        if (T::rank() == 0) {
            pointer<float>(task.operands[3])[row] = p.top + logf(p.sum);
            pointer<float>(task.operands[2])[row] = target < 0 ? 0.0f : p.top - chosen + logf(p.sum);
        }
        if (!grad) continue;
        // All have read the target's logit.
        __syncwarp();
        if (target < 0) l.clear();
        else l.differentiate(p, (u32)target, pointer<float>(task.operands[4])[row]);
    }
}

DEV void chunk_loss(const Task& task, Fault* fault, bool grad, float* shared) {
    if (task.operands[0].dims[1] > WIDE_LOGITS) loss_rows<true>(task, fault, grad, shared);
    else loss_rows<false>(task, fault, grad, shared);
}

KERNEL(linear_cross_entropy) {
    SHARED(float, shared);
    chunk_loss(task, fault, false, shared);
}
