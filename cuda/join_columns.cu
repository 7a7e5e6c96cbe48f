/// Joins what the blocks of another kernel summed per column: out[s][j] = sum over b of partial[b][s][j], in the order of
/// b. Operands: partial f32, then a result a sum. Words: blocks. A block takes 32 columns of sum blockIdx.y; its warps
/// take turns at the partials and are joined in order.
#pragma once
#include "columns.h"

KERNEL(join_columns) {
    SHARED(float, shared);
    u32 blocks = task.words[0], sums = task.operand_count - 1;
    const Operand& out = task.operands[1 + blockIdx.y];
    u64 c = count_of(out), column = (u64)blockIdx.x * COLUMNS + threadIdx.x % COLUMNS;
    const float* from = pointer<float>(task.operands[0]) + blockIdx.y * c + column;
    float sum = 0.0f;
    if (column < c) {
#pragma unroll 8
        for (u32 b = threadIdx.x / COLUMNS; b < blocks; b += COLUMN_THREADS) sum += from[b * sums * c];
    }
    sum = column_sum(sum, shared);
    if (threadIdx.x < COLUMNS && column < c) pointer<float>(out)[column] = sum;
}
