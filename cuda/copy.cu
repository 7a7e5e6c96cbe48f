/// copy: the same elements in another layout. Nothing happens when source and target are one memory.
#pragma once
#include "theseus.h"

DEV void move_element(const Operand& to, u64 to_at, const Operand& from, u64 from_at) {
    if (to.dtype == BF16) pointer<u16>(to)[to_at] = pointer<u16>(from)[from_at];
    else if (to.dtype == BOOL) pointer<u8>(to)[to_at] = pointer<u8>(from)[from_at];
    else pointer<u32>(to)[to_at] = pointer<u32>(from)[from_at];
}

KERNEL(copy) {
    const Operand& from = task.operands[0];
    const Operand& to = task.operands[1];
    if (from.data == to.data) return;
    u64 n = count_of(to);
    for (u64 i = thread_index(); i < n; i += thread_count())
        move_element(to, offset_of(to, i), from, offset_of(from, i));
}
