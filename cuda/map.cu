/// map: elementwise bytecode over strided inputs; results are contiguous and may be the memory of inputs of equal dims.
#pragma once
#include "bytecode.h"

KERNEL(map) {
    Code code = decode(task.words);
    u64 n = count_of(task.operands[code.inputs]);
    u32 registers[REGISTERS];
    load_constants(code, registers);
    for (u64 i = thread_index(); i < n; i += thread_count()) {
        for (u32 k = 0; k < code.inputs; k++) {
            const Operand& o = task.operands[k];
            registers[k] = load_register(o, offset_of(o, i));
        }
        execute(code, registers);
        for (u32 r = 0; r < code.results; r++)
            store_register(task.operands[code.inputs + r], i, registers[code.result[r]]);
    }
}
