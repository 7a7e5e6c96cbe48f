/// fill: a tensor of one value, whose bits are the word.
#pragma once
#include "bytecode.h"

KERNEL(fill) {
    const Operand& out = task.operands[0];
    u64 n = count_of(out);
    u32 bits = task.words[0];
    for (u64 i = thread_index(); i < n; i += thread_count()) {
        if (out.dtype == BF16) pointer<u16>(out)[i] = (u16)bits;
        else store_register(out, i, bits);
    }
}
