/// gather and embedding: rows of a table by id, which an id outside the table fails. A block a row.
#pragma once
#include "theseus.h"

DEV void gather_rows(const Task& task, Fault* fault, const Operand& table, const Operand& ids, const Operand& out) {
    u64 n = count_of(ids), row = count_of(table) / table.dims[0];
    for (u64 k = blockIdx.x; k < n; k += gridDim.x) {
        i64 id = load_index(ids, k);
        if (id < 0 || id >= (i64)table.dims[0]) {
            fail(task, fault, k, id);
            continue;
        }
        for (u64 c = threadIdx.x; c < row; c += THREADS) {
            u64 from = (u64)id * row + c, to = k * row + c;
            if (table.dtype == BOOL) pointer<u8>(out)[to] = pointer<u8>(table)[from];
            else if (table.dtype == I32 || table.dtype == U32) pointer<u32>(out)[to] = pointer<u32>(table)[from];
            else store_float(out, to, load_float(table, from));
        }
    }
}

KERNEL(gather) { gather_rows(task, fault, task.operands[0], task.operands[1], task.operands[2]); }
