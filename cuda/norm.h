/// What layer_norm and rms_norm share: y = (x - mean) rstd weight + bias of each row, where rms_norm has no mean and no
/// bias.
#pragma once
#include "team.h"
#include "tensor_core.h"

struct Norm {
    Floats x, weight, bias, y;
    float *mean, *rstd;
    bool has_bias, aligned;
    float eps;
    u64 m;
    u32 c;
};

template <bool CENTRED> DEV void save(const Norm& n, u64 row, u32 rank, float mean, float rstd) {
    if (rank != 0) return;
    if (CENTRED) n.mean[row] = mean;
    n.rstd[row] = rstd;
}

DEV float inverse_root(float mean_square, float eps) { return 1.0f / sqrtf(mean_square + eps); }

/// A row in registers.
template <bool CENTRED, bool WIDE, int QUADS> static __device__ void norm_row(const Norm& n, u64 row, float* shared) {
    typedef Team<WIDE> T;
    u32 c = n.c;
    float x[QUADS][QUAD];
    Row<WIDE, QUADS> a;
    a.fetch_row(n.x, row, c);
    a.unpack(n.x, c, x);
    float mean = 0.0f, squares = 0.0f;
    if (CENTRED) {
        float sum = 0.0f;
#pragma unroll
        for (int k = 0; k < QUADS; k++) sum += (x[k][0] + x[k][1]) + (x[k][2] + x[k][3]);
        mean = T::sum(sum, shared) / (float)c;
    }
#pragma unroll
    for (int k = 0; k < QUADS; k++)
#pragma unroll
        for (int j = 0; j < QUAD; j++) {
            float d = x[k][j] - mean;
            if (a.at(k) < c) squares += d * d;
        }
    float rstd = inverse_root(T::sum(squares, shared) / (float)c, n.eps);
    save<CENTRED>(n, row, T::rank(), mean, rstd);
#pragma unroll
    for (int k = 0; k < QUADS; k++) {
        u32 at = QUADS > 6 ? not_hoisted(a.at(k)) : a.at(k);
        if (at >= c) continue;
        float weight[QUAD], bias[QUAD] = {};
        load4(n.weight, at, weight);
        if (CENTRED && n.has_bias) load4(n.bias, at, bias);
#pragma unroll
        for (int j = 0; j < QUAD; j++) x[k][j] = (x[k][j] - mean) * rstd * weight[j] + bias[j];
        store4(n.y, row * c + at, x[k]);
    }
}

/// A row that is too long for registers, or that does not begin where four elements can be read at once.
template <bool CENTRED> static __device__ void norm_row_any(const Norm& n, u64 row, float* shared) {
    typedef Team<true> T;
    u64 from = row * n.c;
    float sum = 0.0f, squares = 0.0f;
    const Floats& x = n.x;
    for (u32 i = T::rank(); i < n.c; i += T::size) sum += load1(x, from + i);
    float mean = CENTRED ? T::sum(sum, shared) / (float)n.c : 0.0f;
    for (u32 i = T::rank(); i < n.c; i += T::size) {
        float d = load1(x, from + i) - mean;
        squares += d * d;
    }
    float rstd = inverse_root(T::sum(squares, shared) / (float)n.c, n.eps);
    save<CENTRED>(n, row, T::rank(), mean, rstd);
    for (u32 i = T::rank(); i < n.c; i += T::size) {
        float y = (load1(x, from + i) - mean) * rstd * load1(n.weight, i);
        store1(n.y, from + i, CENTRED && n.has_bias ? y + load1(n.bias, i) : y);
    }
}

template <bool CENTRED, bool WIDE, int QUADS> DEV void norm_rows(const Norm& n) {
    SHARED(float, shared);
    if (n.aligned && n.c <= Team<WIDE>::size * QUADS * QUAD) {
        for (u64 row = Team<WIDE>::first(); row < n.m; row += Team<WIDE>::step())
            norm_row<CENTRED, WIDE, QUADS>(n, row, shared);
    } else {
        for (u64 row = blockIdx.x; row < n.m; row += gridDim.x) norm_row_any<CENTRED>(n, row, shared);
    }
}

/// A kernel for rows of up to 256, 768, 2048 and any number of elements: each has the registers that it needs.
/// zig/cuda/launch_norm.zig chooses.
#define NORM_KERNELS(name, centred) \
    KERNEL(name##_256) { norm_rows<centred, false, 2>(name##_of(task)); } \
    KERNEL_OF(name##_768, THREADS, 2) { norm_rows<centred, false, 6>(name##_of(task)); } \
    KERNEL(name##_2048) { norm_rows<centred, true, 2>(name##_of(task)); } \
    KERNEL_OF(name##_long, THREADS, 2) { norm_rows<centred, true, 8>(name##_of(task)); }
