//! linear_cross_entropy: loss and log-sum-exp of x.w^T by chunks of rows; logits never reach the arena as a whole.
//! Workspace and operand rules: cpu/linear_loss.zig. Words: compute, rows per chunk.
const abi = @import("../abi.zig");
const gemm = @import("../cpu/gemm.zig");
const kernel = @import("../cpu/kernel.zig");
const rows = @import("../cpu/rows.zig");
const Loss = @import("../cpu/linear_loss.zig").Loss;
const check_inputs = @import("../cpu/linear_loss.zig").check_inputs;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .linear_cross_entropy, .run = run, .check = check, .scratch = scratch },
};

fn check(ins: *const abi.Instruction) callconv(.c) rows.Problem {
    if (ins.word_count != 2) return "expected 2 words";
    if (!rows.has_operands(ins, 5)) return "expected x, w, targets -> loss, lse";
    if (check_inputs(ins)) |problem| return problem;
    for (3..5) |i| {
        const o = ins.operand(i);
        if (!rows.is_vector(o, kernel.row_count(ins.operand(0))) or !rows.is_result(o))
            return "loss and lse must be contiguous f32 [M] results";
    }
    return null;
}

fn scratch(ins: *const abi.Instruction) callconv(.c) u64 {
    const l = Loss.of(ins);
    var most: u64 = 0;
    // The last chunk may be smaller, and is cut into tiles differently.
    for ([_]usize{ l.chunk, l.m % @max(1, l.chunk) }) |count| {
        const p = l.logits_product(0, count);
        most = @max(most, gemm.scratch_bytes(&p));
    }
    return most;
}

fn run(t: *kernel.Thread, ins: *const abi.Instruction) callconv(.c) void {
    const l = Loss.of(ins);
    const loss = ins.operand(3).ptr(f32);
    const lse = ins.operand(4).ptr(f32);
    var start: usize = 0;
    while (start < l.m) : (start += l.chunk) {
        const count = @min(l.chunk, l.m - start);
        const product = l.logits_product(start, count);
        if (start > 0) t.barrier();
        gemm.run(t, &product);
        t.barrier();
        while (t.claim(@intCast(count))) |local| {
            const row = start + local;
            const logits = l.logits() + local * l.v;
            const parts = rows.row_lse(f32, logits, l.v);
            lse[row] = parts.value();
            loss[row] = if (rows.read_target(t, ins, 2, row, l.v)) |target|
                (parts.max - logits[target]) + @log(parts.sum)
            else
                0;
        }
    }
}
