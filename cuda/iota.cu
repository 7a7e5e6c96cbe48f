/// iota: each element is its index along one dim.
#pragma once
#include "theseus.h"

KERNEL(iota) {
    const Operand& out = task.operands[0];
    u32 dim = task.words[0];
    u64 n = count_of(out), inner = 1;
    for (u32 d = dim + 1; d < out.rank; d++) inner *= out.dims[d];
    for (u64 i = thread_index(); i < n; i += thread_count()) {
        u32 value = (u32)(i / inner % out.dims[dim]);
        pointer<u32>(out)[i] = out.dtype == F32 ? bits_of((float)value) : value;
    }
}
