/// gather and embedding: rows of a table by id, which an id outside the table fails. A warp a row, four elements at a time
/// where rows begin where that is possible.
#pragma once
#include "lanes.h"

DEV void gather_rows(const Task& task, Fault* fault, const Operand& table, const Operand& ids, const Operand& out) {
    u64 n = count_of(ids), row = count_of(table) / table.dims[0];
    for (u64 k = warp_index(); k < n; k += warp_count()) {
        i64 id = load_index(ids, k);
        if (id < 0 || id >= (i64)table.dims[0]) {
            if (lane() == 0) fail(task, fault, k, id);
            continue;
        }
#pragma unroll 4
        for (u64 c = lane() * QUAD; c < row; c += 32 * QUAD) {
            u32 x[QUAD], count = row - c < QUAD ? (u32)(row - c) : QUAD;
            unpack_lanes<QUAD>(table.dtype, fetch_lanes<QUAD>(table, (u64)id * row + c, count), x);
            store_lanes<QUAD>(out, k * row + c, count, x);
        }
    }
}

KERNEL(gather) { gather_rows(task, fault, task.operands[0], task.operands[1], task.operands[2]); }
