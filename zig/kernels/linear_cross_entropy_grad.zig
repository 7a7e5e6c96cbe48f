//! linear_cross_entropy_grad: loss, lse, dx and dw in one pass over chunks of rows. The logits of a chunk become
//! dlogits = (softmax - onehot) * dloss in place, so nothing is computed twice.
//! Workspace and operand rules: cpu/linear_loss.zig. Words: compute, rows per chunk, has_base.
const std = @import("std");
const abi = @import("../abi.zig");
const gemm = @import("../cpu/gemm.zig");
const kernel = @import("../cpu/kernel.zig");
const rows = @import("../cpu/rows.zig");
const simd = @import("../cpu/simd.zig");
const Loss = @import("../cpu/linear_loss.zig").Loss;
const check_inputs = @import("../cpu/linear_loss.zig").check_inputs;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .linear_cross_entropy_grad, .run = run, .check = check, .scratch = scratch },
};

fn check(ins: *const abi.Instruction) callconv(.c) rows.Problem {
    if (ins.word_count != 3 or ins.word(2) > 1) return "expected 3 words";
    const base = ins.word(2);
    if (!rows.has_operands(ins, 8 + base)) return "expected x, w, targets, dloss, (base) -> loss, lse, dx, dw";
    if (check_inputs(ins)) |problem| return problem;
    const x = ins.operand(0);
    const w = ins.operand(1);
    const m = kernel.row_count(x);
    if (!rows.is_vector(ins.operand(3), m)) return "dloss must be contiguous f32 [M]";
    if (base == 1 and !rows.is_vector(ins.operand(4), w.count())) return "base must be contiguous f32 [V, C]";
    const sizes = [_]u64{ m, m, x.count(), w.count() };
    for (sizes, 4 + base..) |size, i| {
        const o = ins.operand(i);
        if (!rows.is_vector(o, size) or !rows.is_result(o))
            return "loss, lse, dx and dw must be contiguous f32 results of M, M, M*C and V*C elements";
    }
    return null;
}

const Results = struct {
    base: ?[*]const f32,
    loss: [*]f32,
    lse: [*]f32,
    dx: [*]f32,
    dw: [*]f32,

    fn of(ins: *const abi.Instruction) Results {
        const base = ins.word(2);
        return .{
            .base = if (base == 1) ins.operand(4).ptr(f32) else null,
            .loss = ins.operand(4 + base).ptr(f32),
            .lse = ins.operand(5 + base).ptr(f32),
            .dx = ins.operand(6 + base).ptr(f32),
            .dw = ins.operand(7 + base).ptr(f32),
        };
    }
};

fn scratch(ins: *const abi.Instruction) callconv(.c) u64 {
    const l = Loss.of(ins);
    const r = Results.of(ins);
    var most: u64 = 0;
    // The last chunk may be smaller, and is cut into tiles differently.
    for ([_]usize{ l.chunk, l.m % @max(1, l.chunk) }) |count| {
        const products = [_]gemm.Problem{
            l.logits_product(0, count),
            l.dx_product(0, count, r.dx),
            l.dw_product(0, count, r.dw, r.dw),
        };
        for (&products) |*p| most = @max(most, gemm.scratch_bytes(p));
    }
    return most;
}

fn run(t: *kernel.Thread, ins: *const abi.Instruction) callconv(.c) void {
    const l = Loss.of(ins);
    const r = Results.of(ins);
    var start: usize = 0;
    while (start < l.m) : (start += l.chunk) {
        const count = @min(l.chunk, l.m - start);
        const logits = l.logits_product(start, count);
        gemm.run(t, &logits);
        t.barrier();
        while (t.claim(@intCast(count))) |local| row_gradient(t, &l, &r, start + local, local);
        t.barrier();
        const dx = l.dx_product(start, count, r.dx);
        gemm.run(t, &dx);
        t.barrier();
        const dw = l.dw_product(start, count, r.dw, if (start == 0) r.base else r.dw);
        gemm.run(t, &dw);
        t.barrier();
    }
}

/// Loss of one row; its logits become dlogits.
fn row_gradient(
    t: *kernel.Thread,
    l: *const Loss,
    r: *const Results,
    row: usize,
    local: usize,
) void {
    const x = l.logits() + local * l.v;
    const parts = rows.row_lse(f32, x, l.v);
    r.lse[row] = parts.value();
    const target = rows.read_target(t, l.ins, 2, row, l.v) orelse {
        r.loss[row] = 0;
        @memset(x[0..l.v], 0);
        return;
    };
    r.loss[row] = (parts.max - x[target]) + @log(parts.sum);
    const dloss = l.ins.operand(3).ptr(f32)[row];
    const scale = rows.splat(dloss / parts.sum);
    const max = rows.splat(parts.max);
    var i: usize = 0;
    while (i < l.v) : (i += simd.lanes) {
        const e = rows.exp_shifted(rows.load_at(f32, x, i, l.v, 0), max);
        rows.store_at(f32, x, i, l.v, e * scale);
    }
    x[target] -= dloss;
}
