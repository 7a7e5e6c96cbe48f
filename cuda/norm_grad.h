/// What layer_norm_grad and rms_norm_grad share. With n = (x - mean) rstd and g = dy weight: dx = rstd (g - mean(g) -
/// n mean(g n)) (+ residual), dweight = sum of dy n over the rows, dbias = sum of dy; rms_norm has no mean and no bias.
/// Every block adds up dweight and dbias of its rows, which are fixed by the grid; a second kernel joins the blocks.
#pragma once
#include "team.h"

struct NormGrad {
    Floats x, weight, dy, residual, dx;
    const float *mean, *rstd;
    /// [blocks, sums, c]
    float* partial;
    bool adds, has_bias, aligned;
    u32 sums, c;
    u64 m;
};

struct Centre {
    float mean, rstd;
};

template <bool CENTRED> DEV Centre centre_of(const NormGrad& n, u64 row) {
    Centre c = {CENTRED ? n.mean[row] : 0.0f, n.rstd[row]};
    return c;
}

DEV float* partial_of(const NormGrad& n, u32 sum) { return n.partial + ((u64)blockIdx.x * n.sums + sum) * n.c; }

/// Sums over the rows of a block.
template <int QUADS> struct Columns {
    float weight[QUADS][QUAD], bias[QUADS][QUAD];
};

template <bool CENTRED, bool WIDE, int QUADS>
DEV void norm_grad_row(const NormGrad& n, u64 row, Columns<QUADS>& sums, float* shared) {
    typedef Team<WIDE> T;
    u32 c = n.c;
    Centre of = centre_of<CENTRED>(n, row);
    Row<WIDE, QUADS> raw_x, raw_dy, raw_residual;
    raw_x.fetch_row(n.x, row, c);
    raw_dy.fetch_row(n.dy, row, c);
    // Long rows leave no registers for what is needed last.
    const bool early = QUADS <= 2;
    if (n.adds && early) raw_residual.fetch_row(n.residual, row, c);
    float normal[QUADS][QUAD], dy[QUADS][QUAD];
    raw_x.unpack(n.x, c, normal);
    raw_dy.unpack(n.dy, c, dy);
    float g_sum = 0.0f, gn_sum = 0.0f;
#pragma unroll
    for (int k = 0; k < QUADS; k++) {
        if (raw_x.at(k) >= c) continue;
        float weight[QUAD];
        load4(n.weight, raw_x.at(k), weight);
#pragma unroll
        for (int j = 0; j < QUAD; j++) {
            normal[k][j] = (normal[k][j] - of.mean) * of.rstd;
            sums.weight[k][j] += dy[k][j] * normal[k][j];
            if (CENTRED) sums.bias[k][j] += dy[k][j];
            dy[k][j] *= weight[j];
            if (CENTRED) g_sum += dy[k][j];
            gn_sum += dy[k][j] * normal[k][j];
        }
    }
    if (CENTRED) g_sum = T::sum(g_sum, shared) / (float)c;
    gn_sum = T::sum(gn_sum, shared) / (float)c;
#pragma unroll
    for (int k = 0; k < QUADS; k++) {
        u32 at = raw_x.at(k);
        if (at >= c) continue;
        float residual[QUAD] = {};
        if (n.adds) unpack4(n.residual, early ? raw_residual.raw[k] : fetch(n.residual, row * c + at), residual);
#pragma unroll
        for (int j = 0; j < QUAD; j++)
            dy[k][j] = of.rstd * (dy[k][j] - g_sum - normal[k][j] * gn_sum) + residual[j];
        store4(n.dx, row * c + at, dy[k]);
    }
}

/// The warps of a block, one after the other, add theirs in shared memory.
template <int QUADS> DEV void join_warps(const NormGrad& n, u32 sum, const float (*own)[QUAD], float* shared) {
    for (u32 warp = 0; warp < WARPS; warp++) {
        if (threadIdx.x / 32 == warp)
#pragma unroll
            for (int k = 0; k < QUADS; k++)
#pragma unroll
                for (int j = 0; j < QUAD; j++) {
                    u32 at = Row<false, QUADS>::at(k) + j;
                    if (at < n.c) shared[at] = warp == 0 ? own[k][j] : shared[at] + own[k][j];
                }
        __syncthreads();
    }
    for (u32 at = threadIdx.x; at < n.c; at += THREADS) partial_of(n, sum)[at] = shared[at];
    __syncthreads();
}

/// Rows that are too long for registers, or do not begin where four elements can be read at once.
template <bool CENTRED> static __device__ void norm_grad_rows_any(const NormGrad& n, float* shared) {
    typedef Team<true> T;
    float *weight_sum = partial_of(n, 0), *bias_sum = partial_of(n, 1);
    bool bias = CENTRED && n.has_bias;
    for (u32 i = T::rank(); i < n.c; i += T::size) {
        weight_sum[i] = 0.0f;
        if (bias) bias_sum[i] = 0.0f;
    }
    for (u64 row = T::first(); row < n.m; row += T::step()) {
        u64 from = row * n.c;
        Centre of = centre_of<CENTRED>(n, row);
        float g_sum = 0.0f, gn_sum = 0.0f;
        for (u32 i = T::rank(); i < n.c; i += T::size) {
            float normal = (load1(n.x, from + i) - of.mean) * of.rstd, dy = load1(n.dy, from + i);
            weight_sum[i] += dy * normal;
            if (bias) bias_sum[i] += dy;
            g_sum += dy * load1(n.weight, i);
            gn_sum += dy * load1(n.weight, i) * normal;
        }
        g_sum = CENTRED ? T::sum(g_sum, shared) / (float)n.c : 0.0f;
        gn_sum = T::sum(gn_sum, shared) / (float)n.c;
        for (u32 i = T::rank(); i < n.c; i += T::size) {
            float normal = (load1(n.x, from + i) - of.mean) * of.rstd;
            float d = of.rstd * (load1(n.dy, from + i) * load1(n.weight, i) - g_sum - normal * gn_sum);
            store1(n.dx, from + i, n.adds ? d + load1(n.residual, from + i) : d);
        }
    }
}

template <bool CENTRED, bool WIDE, int QUADS> DEV void norm_grad_rows(const NormGrad& n) {
    SHARED(float, shared);
    if (!n.aligned || n.c > Team<WIDE>::size * QUADS * QUAD) return norm_grad_rows_any<CENTRED>(n, shared);
    Columns<QUADS> sums = {};
    for (u64 row = Team<WIDE>::first(); row < n.m; row += Team<WIDE>::step())
        norm_grad_row<CENTRED, WIDE, QUADS>(n, row, sums, shared);
    bool bias = CENTRED && n.has_bias;
    if (WIDE) {
#pragma unroll
        for (int k = 0; k < QUADS; k++)
#pragma unroll
            for (int j = 0; j < QUAD; j++) {
                u32 at = Row<WIDE, QUADS>::at(k) + j;
                if (at >= n.c) continue;
                partial_of(n, 0)[at] = sums.weight[k][j];
                if (bias) partial_of(n, 1)[at] = sums.bias[k][j];
            }
    } else {
        join_warps<QUADS>(n, 0, sums.weight, shared);
        if (bias) join_warps<QUADS>(n, 1, sums.bias, shared);
    }
}

/// As the kernels of norm.h, for rows of up to 256, 1024, 2048 and any number of elements.
#define NORM_GRAD_KERNELS(name, centred) \
    KERNEL_OF(name##_256, THREADS, 2) { norm_grad_rows<centred, false, 2>(name##_of(task)); } \
    KERNEL(name##_1024) { norm_grad_rows<centred, true, 1>(name##_of(task)); } \
    KERNEL_OF(name##_2048, THREADS, 2) { norm_grad_rows<centred, true, 2>(name##_of(task)); } \
    KERNEL(name##_long) { norm_grad_rows<centred, true, 8>(name##_of(task)); }
