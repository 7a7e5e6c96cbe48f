/// fill: one value everywhere. Words: its bits (of bf16 the low 16).
#pragma once
#include "lanes.h"

KERNEL(fill) {
    const Operand& out = task.operands[0];
    u64 n = count_of(out);
    u32 bits = out.dtype == BF16 ? task.words[0] << 16 : task.words[0];
    u32 x[QUAD] = {bits, bits, bits, bits};
    for (u64 i = thread_index() * QUAD; i < n; i += thread_count() * QUAD)
        store_lanes<QUAD>(out, i, n - i < QUAD ? (u32)(n - i) : QUAD, x);
}
