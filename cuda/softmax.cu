/// softmax over the last dim, a block a row. The result may be the memory of the input.
#pragma once
#include "theseus.h"

KERNEL(softmax) {
    SHARED(float, shared);
    const Operand &x = task.operands[0], &y = task.operands[1];
    u64 c = last_dim(x), m = row_count(x);
    for (u64 row = blockIdx.x; row < m; row += gridDim.x) {
        float top = -INFINITY, sum = 0.0f;
        for (u64 i = threadIdx.x; i < c; i += THREADS) top = max_float(top, load_float(x, row * c + i));
        top = block_max(top, shared);
        for (u64 i = threadIdx.x; i < c; i += THREADS) sum += expf(load_float(x, row * c + i) - top);
        sum = block_sum(sum, shared);
        for (u64 i = threadIdx.x; i < c; i += THREADS)
            store_float(y, row * c + i, expf(load_float(x, row * c + i) - top) / sum);
    }
}
