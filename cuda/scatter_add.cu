/// scatter_add and embedding_grad: rows added to the rows of a table that ids name, in the order of the ids and without
/// atomics: blockIdx.x owns the table rows of one residue, blockIdx.y a stripe of columns, a thread one column.
/// The table starts as the base (`copy`) or as zeros (`fill`). Operands: ids, updates, out f32 [V, ...].
#pragma once
#include "theseus.h"

KERNEL(scatter_add) {
    const Operand &ids = task.operands[0], &out = task.operands[2];
    const Operand& updates = task.operands[1];
    float* table = pointer<float>(out);
    u64 n = count_of(ids), row = count_of(out) / out.dims[0];
    u64 column = (u64)blockIdx.y * THREADS + threadIdx.x;
    bool reports = blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0;
    for (u64 k = 0; k < n; k++) {
        i64 id = load_index(ids, k);
        if (id < 0 || id >= (i64)out.dims[0]) {
            if (reports) fail(task, fault, k, id);
        } else if ((u64)id % gridDim.x == blockIdx.x && column < row) {
            table[(u64)id * row + column] += load_float(updates, k * row + column);
        }
    }
}
