/// softmax_grad: dx = y (dy - sum(dy y)), a team a row. dx may be the memory of dy.
#pragma once
#include "logits.h"

template <bool WIDE> DEV void softmax_grad_rows(const Operand& y, const Operand& dy, const Operand& dx, float* shared) {
    typedef Team<WIDE> T;
    Floats gradient = floats_of(dy), to = floats_of(dx);
    for (u64 row = T::first(), m = row_count(y); row < m; row += T::step()) {
        Logits<WIDE> l = row_of<WIDE>(y, row, is_aligned(dy) && is_aligned(dx));
        float sum = 0.0f;
        for (u32 i = T::rank() * QUAD; i < l.whole; i += l.stride) {
            float a[QUAD], b[QUAD];
            load4(l.x, l.base + i, a);
            load4(gradient, l.base + i, b);
            sum += (a[0] * b[0] + a[1] * b[1]) + (a[2] * b[2] + a[3] * b[3]);
        }
        for (u32 i = l.whole + T::rank(); i < l.classes; i += T::size)
            sum += load1(l.x, l.base + i) * load1(gradient, l.base + i);
        sum = T::sum(sum, shared);
        for (u32 i = T::rank() * QUAD; i < l.whole; i += l.stride) {
            float a[QUAD], b[QUAD];
            load4(l.x, l.base + i, a);
            load4(gradient, l.base + i, b);
#pragma unroll
            for (u32 j = 0; j < QUAD; j++) a[j] *= b[j] - sum;
            store4(to, l.base + i, a);
        }
        for (u32 i = l.whole + T::rank(); i < l.classes; i += T::size)
            store1(to, l.base + i, load1(l.x, l.base + i) * (load1(gradient, l.base + i) - sum));
    }
}

KERNEL(softmax_grad) {
    SHARED(float, shared);
    const Operand* x = task.operands;
    if (last_dim(*x) > WIDE_LOGITS) softmax_grad_rows<true>(x[0], x[1], x[2], shared);
    else softmax_grad_rows<false>(x[0], x[1], x[2], shared);
}
