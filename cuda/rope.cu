/// rope: rotary positions on half-split pairs (i, i + d/2); angles are f64. Words: theta, inverse, rotary dims d, and
/// optionally magnitude and d/2 frequency factors f64. A thread a pair, so y may be x.
#pragma once
#include "theseus.h"

KERNEL(rope) {
    const Operand &x = task.operands[0], &positions = task.operands[1], &y = task.operands[2];
    u32 d = task.words[2], half = d / 2;
    bool inverse = task.words[1] == 1, scaled = task.word_count > 3;
    double theta = (double)float_of(task.words[0]);
    float magnitude = scaled ? float_of(task.words[3]) : 1.0f;
    u64 steps = x.dims[1], heads = x.dims[2], size = x.dims[3], each = size - half;
    u64 total = x.dims[0] * steps * heads * each;
    for (u64 index = thread_index(); index < total; index += thread_count()) {
        u64 i = index % each, head = index / each % heads, step = index / each / heads % steps;
        u64 batch = index / each / heads / steps;
        u64 from = batch * x.strides[0] + step * x.strides[1] + head * x.strides[2];
        u64 to = batch * y.strides[0] + step * y.strides[1] + head * y.strides[2];
        if (i >= half) {
            store_float(y, to + i + half, load_float(x, from + i + half));
            continue;
        }
        i64 position = load_index(positions, batch * positions.strides[0] + step * positions.strides[1]);
        double frequency = pow(theta, -2.0 * (double)i / (double)d);
        if (scaled) frequency *= double_of(task.words[4 + 2 * i], task.words[5 + 2 * i]);
        double angle = (double)position * frequency;
        float cosine = (float)cos(angle) * magnitude;
        float sine = (float)sin(angle) * (inverse ? -magnitude : magnitude);
        float a = load_float(x, from + i), b = load_float(x, from + i + half);
        store_float(y, to + i, a * cosine - b * sine);
        store_float(y, to + i + half, b * cosine + a * sine);
    }
}
