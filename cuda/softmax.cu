/// softmax over the last dim, a warp a row. The result may be the memory of the input.
#pragma once
#include "theseus.h"

KERNEL(softmax) {
    const Operand &x = task.operands[0], &y = task.operands[1];
    u64 c = last_dim(x), m = row_count(x);
    for (u64 row = warp_index(); row < m; row += warp_count()) {
        float top = -INFINITY, sum = 0.0f;
        for (u64 i = lane(); i < c; i += 32) top = max_float(top, load_float(x, row * c + i));
        top = warp_max(top);
        for (u64 i = lane(); i < c; i += 32) sum += expf(load_float(x, row * c + i) - top);
        sum = warp_sum(sum);
        for (u64 i = lane(); i < c; i += 32)
            store_float(y, row * c + i, expf(load_float(x, row * c + i) - top) / sum);
    }
}
