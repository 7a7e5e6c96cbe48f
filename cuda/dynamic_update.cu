/// dynamic_update: see dynamic_slice.cu; `copy` has brought the whole to the result before.
#pragma once
#include "dynamic_slice.cu"

KERNEL(dynamic_update) {
    const Operand &part = task.operands[1], &out = task.operands[3];
    i64 first = window_offset(task, fault, out, part, task.operands[2]);
    if (first < 0) return;
    u64 n = count_of(part);
    for (u64 i = thread_index(); i < n; i += thread_count())
        move_window(out, (u64)first + window_index(out, part, i), part, i);
}
