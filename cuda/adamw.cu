/// adamw: as torch.optim.AdamW (amsgrad off), for many tensors in one launch. Eight operands a tensor: param, m, v, gradient, scalars,
/// param, m, v. Scalars: learning rate, beta1, beta2, eps, weight decay, gradient scale, step, apply; apply 0 leaves
/// everything as it was. Words: first chunk of each tensor.
#pragma once
#include "chunks.h"

/// As `adamw_chunk` of zig/cuda/launch_optimizer.zig.
#define ADAMW_CHUNK 8192
#define ADAMW_OPERANDS 8

struct Adamw {
    float keep, rate, root, slow1, slow2, beta2, eps, scale, applies;
};

/// Worked out in f64, then rounded.
DEV Adamw adamw_of(const float* s) {
    double beta1 = s[1], beta2 = s[2];
    Adamw a;
    a.keep = (float)(1.0 - (double)s[0] * (double)s[4]);
    a.rate = (float)((double)s[0] / (1.0 - pow(beta1, (double)s[6])));
    a.root = (float)(1.0 / sqrt(1.0 - pow(beta2, (double)s[6])));
    a.slow1 = (float)(1.0 - beta1);
    a.slow2 = (float)(1.0 - beta2);
    a.beta2 = s[2];
    a.eps = s[3];
    a.scale = s[5];
    a.applies = s[7];
    return a;
}

DEV void adamw_step(const Adamw& a, float& p, float& m, float& v, float gradient) {
    if (a.applies == 0.0f) return;
    float g = gradient * a.scale;
    m = fmaf(a.slow1, g - m, m);
    v = fmaf(g * a.slow2, g, v * a.beta2);
    p = p * a.keep - a.rate * m / fmaf(sqrtf(v), a.root, a.eps);
}

KERNEL(adamw) {
    SHARED(Adamw, shared);
    Chunk c = chunk_of(task.words, task.word_count, ADAMW_CHUNK);
    const Operand* o = task.operands + (u64)c.tensor * ADAMW_OPERANDS;
    if (threadIdx.x == 0) *shared = adamw_of(pointer<float>(o[4]));
    __syncthreads();
    Adamw a = *shared;
    Floats from[4] = {f32_of(o[0]), f32_of(o[1]), f32_of(o[2]), f32_of(o[3])};
    Floats to[3] = {f32_of(o[5]), f32_of(o[6]), f32_of(o[7])};
    bool aligned = true;
    for (u32 i = 0; i < ADAMW_OPERANDS; i++) aligned = aligned && (i == 4 || is_aligned(o[i]));
    u64 n = count_of(o[0]);
    if (c.end > n) c.end = n;
    u64 whole = aligned ? c.start + (c.end - c.start) / QUAD * QUAD : c.start;
    for (u64 i = c.start + threadIdx.x * QUAD; i < whole; i += THREADS * QUAD) {
        float x[4][QUAD];
        for (u32 k = 0; k < 4; k++) load4(from[k], i, x[k]);
        for (u32 j = 0; j < QUAD; j++) adamw_step(a, x[0][j], x[1][j], x[2][j], x[3][j]);
        for (u32 k = 0; k < 3; k++) store4(to[k], i, x[k]);
    }
    for (u64 i = whole + threadIdx.x; i < c.end; i += THREADS) {
        float p = load1(from[0], i), m = load1(from[1], i), v = load1(from[2], i);
        adamw_step(a, p, m, v, load1(from[3], i));
        store1(to[0], i, p);
        store1(to[1], i, m);
        store1(to[2], i, v);
    }
}
