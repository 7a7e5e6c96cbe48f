/// grad_norm: square root of the sum of squares of all inputs, in f64. A block sums a chunk of one input; the chunks' sums lie in the
/// workspace and are added in order.
#pragma once
#include "chunks.h"

/// As `norm_chunk` of zig/cuda/launch_optimizer.zig and CHUNK of src/ops/fused/grad_norm.ts.
#define NORM_CHUNK 16384

/// Words: first chunk of each input.
KERNEL(grad_norm_chunks) {
    SHARED(double, shared);
    Chunk c = chunk_of(task.words, task.word_count, NORM_CHUNK);
    const Operand& input = task.operands[c.tensor];
    Floats x = f32_of(input);
    u64 n = count_of(input);
    if (c.end > n) c.end = n;
    u64 whole = is_aligned(input) ? c.start + (c.end - c.start) / QUAD * QUAD : c.start;
    double sums[QUAD] = {};
    for (u64 i = c.start + threadIdx.x * QUAD; i < whole; i += THREADS * QUAD) {
        float quad[QUAD];
        load4(x, i, quad);
        for (u32 j = 0; j < QUAD; j++) sums[j] += (double)quad[j] * (double)quad[j];
    }
    for (u64 i = whole + threadIdx.x; i < c.end; i += THREADS) {
        double value = load1(x, i);
        sums[0] += value * value;
    }
    double sum = block_sum((sums[0] + sums[1]) + (sums[2] + sums[3]), shared);
    if (threadIdx.x == 0) pointer<double>(task.operands[task.word_count + 1])[blockIdx.x] = sum;
}

/// Words: how many chunks.
KERNEL(grad_norm) {
    SHARED(double, shared);
    u32 inputs = task.operand_count - 2;
    const double* sums = pointer<double>(task.operands[inputs + 1]);
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < task.words[0]; i += THREADS) sum += sums[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) pointer<float>(task.operands[inputs])[0] = (float)sqrt(sum);
}
