/// Flash attention, backward, first of three kernels: sum(dout out) of every row, eight lanes a row. It is kept in the first four
/// bytes of the row of dq, which the last kernel reads before it writes there, so nothing else has to be allocated.
#pragma once
#include "attention_problem.h"
#include "tensor_core.h"

/// Of eight elements from `at` on.
DEV float chunk_sum(const Operand& dout, u64 dout_at, const Operand& out, u64 out_at) {
    Words4 d = load_words4(pointer<u16>(dout) + dout_at);
    float sum = 0.0f;
    if (out.dtype == BF16) {
        Words4 o = load_words4(pointer<u16>(out) + out_at);
        for (u32 i = 0; i < 4; i++) {
            sum = fmaf(low_bf16(d.w[i]), low_bf16(o.w[i]), sum);
            sum = fmaf(high_bf16(d.w[i]), high_bf16(o.w[i]), sum);
        }
        return sum;
    }
    Words4 first = load_words4(pointer<float>(out) + out_at), second = load_words4(pointer<float>(out) + out_at + 4);
    for (u32 i = 0; i < 2; i++) {
        sum = fmaf(low_bf16(d.w[i]), float_of(first.w[i * 2]), sum);
        sum = fmaf(high_bf16(d.w[i]), float_of(first.w[i * 2 + 1]), sum);
    }
    for (u32 i = 0; i < 2; i++) {
        sum = fmaf(low_bf16(d.w[i + 2]), float_of(second.w[i * 2]), sum);
        sum = fmaf(high_bf16(d.w[i + 2]), float_of(second.w[i * 2 + 1]), sum);
    }
    return sum;
}

KERNEL(flash_attention_delta) {
    const AttentionGrad g = attention_grad_of(task);
    const Attention& a = g.a;
    const u32 heads = (u32)a.heads, steps = (u32)a.steps;
    u64 total = a.batches * a.steps * a.heads;
    for (u64 first = warp_index() * 4; first < total; first += warp_count() * 4) {
        u64 index = first + lane() / 8, row = divide(index, heads), batch = divide(row, steps);
        u64 head = index - row * heads, step = row - batch * steps;
        float sum = 0.0f;
        if (index < total) {
            u64 dout_at = head_offset(*g.dout, batch, step, head), out_at = head_offset(*g.out, batch, step, head);
            for (u64 at = lane() % 8 * 8; at < a.size; at += 64)
                sum += chunk_sum(*g.dout, dout_at + at, *g.out, out_at + at);
        }
        for (int distance = 4; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
        if (index >= total || lane() % 8 != 0) continue;
        u64 to = head_offset(*g.dq, batch, step, head) * (g.dq->dtype == BF16 ? 2 : 4);
        *reinterpret_cast<float*>(g.dq->data + to) = sum;
    }
}
