/// random_normal: Box and Muller's method on the words that random_bits gives for step 0 and sample 0.
#pragma once
#include "philox.h"

KERNEL(random_normal) {
    const Operand& out = task.operands[0];
    u64 n = count_of(out);
    float deviation = float_of(task.words[2]);
    for (u64 i = thread_index(); i < n; i += thread_count()) {
        u64 block = i / 4;
        Words words = philox((u32)block, (u32)(block >> 32), 0, 0, task.words[0], task.words[1]);
        bool late = i % 4 >= 2;
        // f64 keeps the angle's low bits; the host compares with f64 numbers.
        double uniform = ((double)words.word[late ? 2 : 0] + 0.5) * 0x1p-32;
        double angle = ((double)words.word[late ? 3 : 1] + 0.5) * 0x1p-32 * 6.283185307179586;
        double radius = sqrt(fmax(-2.0 * log(uniform), 0.0)) * deviation;
        pointer<float>(out)[i] = (float)(radius * (i % 2 == 0 ? cos(angle) : sin(angle)));
    }
}
