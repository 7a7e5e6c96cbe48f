/// dynamic_slice and dynamic_update: a window whose starts are data; a start out of range fails the program and nothing
/// moves.
#pragma once
#include "theseus.h"

/// Offset of the window's first element, or -1. Both operands are contiguous.
DEV i64 window_offset(const Task& task, Fault* fault, const Operand& whole, const Operand& part, const Operand& starts) {
    u64 at = 0;
    for (u32 d = 0; d < whole.rank; d++) {
        i64 start = load_index(starts, d);
        if (start < 0 || start + (i64)part.dims[d] > (i64)whole.dims[d]) {
            fail(task, fault, d, start);
            return -1;
        }
        at = at * whole.dims[d] + (u64)start;
    }
    return (i64)at;
}

/// Where element `index` of the part lies in the whole, relative to the window's first element.
DEV u64 window_index(const Operand& whole, const Operand& part, u64 index) {
    u64 at = 0, step = 1;
    for (int d = whole.rank - 1; d >= 0; d--) {
        at += index % part.dims[d] * step;
        index /= part.dims[d];
        step *= whole.dims[d];
    }
    return at;
}

DEV void move_window(const Operand& to, u64 to_at, const Operand& from, u64 from_at) {
    if (to.dtype == BF16) pointer<u16>(to)[to_at] = pointer<u16>(from)[from_at];
    else if (to.dtype == BOOL) pointer<u8>(to)[to_at] = pointer<u8>(from)[from_at];
    else pointer<u32>(to)[to_at] = pointer<u32>(from)[from_at];
}

KERNEL(dynamic_slice) {
    const Operand &whole = task.operands[0], &part = task.operands[2];
    i64 first = window_offset(task, fault, whole, part, task.operands[1]);
    if (first < 0) return;
    u64 n = count_of(part);
    for (u64 i = thread_index(); i < n; i += thread_count())
        move_window(part, i, whole, (u64)first + window_index(whole, part, i));
}
