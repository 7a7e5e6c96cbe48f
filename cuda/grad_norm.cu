/// grad_norm: square root of the sum of squares of all inputs, in f64 over chunks of 65536 elements; the chunks' sums lie in
/// the workspace and are added in order.
#pragma once
#include "theseus.h"

#define CHUNK 65536

KERNEL(grad_norm_chunks) {
    SHARED(double, shared);
    u32 inputs = task.operand_count - 2;
    double* sums = pointer<double>(task.operands[inputs + 1]);
    u64 chunk = blockIdx.x;
    u32 input = 0;
    for (;; input++) {
        u64 chunks = (count_of(task.operands[input]) + CHUNK - 1) / CHUNK;
        if (chunk < chunks) break;
        chunk -= chunks;
    }
    const float* x = pointer<float>(task.operands[input]);
    u64 n = count_of(task.operands[input]), end = (chunk + 1) * CHUNK < n ? (chunk + 1) * CHUNK : n;
    double sum = 0.0;
    for (u64 i = chunk * CHUNK + threadIdx.x; i < end; i += THREADS) sum += (double)x[i] * (double)x[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
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
