/// matmul: out = cast(act(alpha * A.B + bias) * act'(aux) + residual) in f32. A block makes a tile of 64 x 64 results, a
/// thread 4 x 4 of them; operands have any strides. With compute 1 the operands are rounded to bf16 first.
#pragma once
#include "activation.h"

#define TILE 64
#define DEPTH 16
#define EACH 4

enum MatmulFlag { BIAS = 1, RESIDUAL = 2, ACTIVATION = 4, SAVE_AUX = 8, ACTIVATION_GRAD = 16 };

struct Product {
    const Operand *a, *b, *bias, *residual, *aux_in, *out, *aux_out;
    u32 flags, activation;
    bool rounds;
    float alpha;
    u64 m, n, k;
};

DEV Product product_of(const Task& task) {
    Product p = {};
    p.flags = task.words[0];
    p.rounds = task.words[1] == 1;
    p.activation = task.words[2];
    p.alpha = float_of(task.words[3]);
    const Operand* next = task.operands;
    p.a = next++;
    p.b = next++;
    if (p.flags & BIAS) p.bias = next++;
    if (p.flags & RESIDUAL) p.residual = next++;
    if (p.flags & ACTIVATION_GRAD) p.aux_in = next++;
    p.out = next++;
    if (p.flags & SAVE_AUX) p.aux_out = next++;
    p.m = p.a->dims[1];
    p.k = p.a->dims[2];
    p.n = p.b->dims[2];
    return p;
}

DEV float operand_at(const Product& p, const Operand& o, u64 at) {
    float x = load_float(o, at);
    return p.rounds ? round_bf16(x) : x;
}

/// Fills tile[DEPTH][TILE] from rows of A (along `first`) and steps of k, zero outside.
DEV void load_tile(const Product& p, const Operand& o, u64 base, u64 first, u64 limit, u64 row_stride, u64 k0,
                   u64 k_stride, float* tile) {
    bool along_k = k_stride == 1;
    for (u32 e = threadIdx.x; e < TILE * DEPTH; e += THREADS) {
        // Neighbouring threads read neighbouring memory where there is such a direction.
        u32 row = along_k ? e / DEPTH : e % TILE, step = along_k ? e % DEPTH : e / TILE;
        bool inside = first + row < limit && k0 + step < p.k;
        u64 at = base + (first + row) * row_stride + (k0 + step) * k_stride;
        tile[step * TILE + row] = inside ? operand_at(p, o, at) : 0.0f;
    }
}

DEV void finish(const Product& p, u64 batch, u64 row, u64 column, float sum) {
    u64 flat = (batch * p.m + row) * p.n + column;
    float x = sum * p.alpha;
    if (p.bias) x += load_float(*p.bias, column);
    if (p.aux_out) store_float(*p.aux_out, flat, x);
    if (p.flags & ACTIVATION) x = activate(p.activation, x);
    if (p.aux_in) x *= activation_slope(p.activation, load_float(*p.aux_in, flat));
    if (p.residual) x += load_float(*p.residual, flat);
    const u64* strides = p.out->strides;
    store_float(*p.out, batch * strides[0] + row * strides[1] + column * strides[2], x);
}

KERNEL(matmul) {
    SHARED(float, shared);
    float *left = shared, *right = shared + DEPTH * TILE;
    Product p = product_of(task);
    u64 column0 = (u64)blockIdx.x * TILE, row0 = (u64)blockIdx.y * TILE;
    u32 ty = threadIdx.x / 16 * EACH, tx = threadIdx.x % 16 * EACH;
    for (u64 batch = blockIdx.z; batch < p.a->dims[0]; batch += gridDim.z) {
        float sums[EACH][EACH] = {};
        for (u64 k0 = 0; k0 < p.k; k0 += DEPTH) {
            load_tile(p, *p.a, batch * p.a->strides[0], row0, p.m, p.a->strides[1], k0, p.a->strides[2], left);
            load_tile(p, *p.b, batch * p.b->strides[0], column0, p.n, p.b->strides[2], k0, p.b->strides[1], right);
            __syncthreads();
            for (u32 k = 0; k < DEPTH; k++)
                for (u32 i = 0; i < EACH; i++)
                    for (u32 j = 0; j < EACH; j++)
                        sums[i][j] = fmaf(left[k * TILE + ty + i], right[k * TILE + tx + j], sums[i][j]);
            __syncthreads();
        }
        for (u32 i = 0; i < EACH; i++)
            for (u32 j = 0; j < EACH; j++)
                if (row0 + ty + i < p.m && column0 + tx + j < p.n)
                    finish(p, batch, row0 + ty + i, column0 + tx + j, sums[i][j]);
    }
}
