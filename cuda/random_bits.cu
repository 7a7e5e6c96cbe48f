/// random_bits: Philox words by key, step, sample and element.
#pragma once
#include "philox.h"

KERNEL(random_bits) {
    const Operand& out = task.operands[2];
    u32 step = pointer<u32>(task.operands[0])[0];
    u64 n = count_of(out), each = n / out.dims[0];
    for (u64 i = thread_index(); i < n; i += thread_count()) {
        u32 sample = pointer<u32>(task.operands[1])[i / each];
        u64 block = i % each / 4;
        Words words = philox((u32)block, (u32)(block >> 32), sample, step, task.words[0], task.words[1]);
        pointer<u32>(out)[i] = words.word[i % each % 4];
    }
}
