//! linear_cross_entropy and its gradient on a GPU: rows in chunks. A product puts a chunk's logits into the workspace, in the
//! products' dtype; a kernel makes losses of them and, in place, their gradients; two products make dx and dw of those.
const std = @import("std");
const abi = @import("../abi.zig");
const failure = @import("../failure.zig");
const launch_matmul = @import("launch_matmul.zig");
const launches = @import("launches.zig");

const Flag = abi.MatmulFlag;
const Instruction = abi.Instruction;
const Part = launches.Part;
const Plan = launches.Plan;

/// Elements; as GPU_STRIDE of src/ops/fused/workspace.ts.
const row_multiple = 8;
/// As WIDE_LOGITS of cuda/linear_cross_entropy.cu.
const wide_row = launches.wide_row;

/// The operands of the instruction.
const Loss = struct {
    ins: *const Instruction,
    m: u64,
    c: u64,
    v: u64,
    chunk: u64,
    has_base: bool,
    /// Loss; then lse, and of a gradient dx and dw.
    first_result: u32,
    logits_dtype: abi.Dtype,

    fn of(ins: *const Instruction, grad: bool) Loss {
        const x = ins.operand(0);
        const has_base = grad and ins.word(2) == 1;
        return .{
            .ins = ins,
            .m = launches.row_count(x),
            .c = launches.last(x),
            .v = ins.operand(1).dims[0],
            .chunk = @min(ins.word(1), launches.row_count(x)),
            .has_base = has_base,
            .first_result = if (grad) @as(u32, 4) + @intFromBool(has_base) else 3,
            .logits_dtype = if (ins.word(0) == 1) .bf16 else .f32,
        };
    }

    /// Rows `start` to `start + n` of operand `index`, a matrix [M, C], as [1, n, C].
    fn rows(l: *const Loss, index: u32, start: u64, n: u64) Part {
        const width = abi.dtype_bytes(l.ins.operand(index).dtype);
        return matrix(l.ins, index, start * l.c * width, n, l.c);
    }

    fn table(l: *const Loss, index: u32) Part {
        return matrix(l.ins, index, 0, l.v, l.c);
    }

    /// Rows of logits lie so that cuBLASLt and the loss read them well whatever the vocabulary.
    fn stride(l: *const Loss) u64 {
        return std.mem.alignForward(u64, l.v, row_multiple);
    }

    fn logits(l: *const Loss, n: u64) Part {
        var made = matrix(l.ins, l.ins.operand_count - 1, 0, n, l.v);
        made.view.dtype = l.logits_dtype;
        made.view.strides[0..2].* = .{ n * l.stride(), l.stride() };
        return made;
    }

    fn check(l: *const Loss) !void {
        const needed = l.chunk * l.stride() * abi.dtype_bytes(l.logits_dtype);
        if (l.ins.workspace().count() * 4 < needed) return failure.raise(
            error.Unsupported,
            "the workspace of a loss must hold {d} bytes of logits",
            .{needed},
        );
    }
};

pub fn add(p: *Plan, ins: *const Instruction, grad: bool) !void {
    const l: Loss = .of(ins, grad);
    try l.check();
    var start: u64 = 0;
    while (start < l.m) : (start += l.chunk) {
        const n = @min(l.chunk, l.m - start);
        const x = l.rows(0, start, n);
        const w = l.table(1);
        const logits = l.logits(n);
        try product(p, &l, 0, &.{ x, transposed(w), logits });
        try losses(p, &l, start, logits, grad);
        if (!grad) continue;
        try product(p, &l, 0, &.{ logits, w, l.rows(l.first_result + 2, start, n) });
        const dw = l.table(l.first_result + 3);
        const dlogits = transposed(logits);
        if (start > 0) {
            try product(p, &l, Flag.residual, &.{ dlogits, x, dw, dw });
        } else if (l.has_base) {
            try product(p, &l, Flag.residual, &.{ dlogits, x, l.table(4), dw });
        } else {
            try product(p, &l, 0, &.{ dlogits, x, dw });
        }
    }
}

/// Operands as those of the opcode `matmul`.
fn product(p: *Plan, l: *const Loss, flags: u32, parts: []const Part) !void {
    const words = [4]u32{ flags, l.ins.word(0), 0, @bitCast(@as(f32, 1)) };
    try launch_matmul.add(p, parts, &words);
}

fn losses(p: *Plan, l: *const Loss, start: u64, logits: Part, grad: bool) !void {
    const n = logits.view.dims[1];
    var flat = logits;
    flat.view.rank = 2;
    flat.view.dims[0..2].* = .{ n, @intCast(l.v) };
    flat.view.strides[0..2].* = .{ l.stride(), 1 };
    const parts = [_]Part{
        flat,
        vector(l.ins, 2, start, n),
        vector(l.ins, l.first_result, start, n),
        vector(l.ins, l.first_result + 1, start, n),
        vector(l.ins, 3, start, n),
    };
    const used: usize = if (grad) 5 else 4;
    const words = [_]u32{@intCast(start)};
    const grid = if (l.v > wide_row) launches.rows(n) else launches.warps(n);
    if (grad)
        try p.some(.linear_cross_entropy_grad, grid, parts[0..used], &words)
    else
        try p.some(.linear_cross_entropy, grid, parts[0..used], &words);
}

/// Operand `index` from `offset` bytes on as [1, rows, columns], row-major.
fn matrix(ins: *const Instruction, index: u32, offset: u64, m: u64, n: u64) Part {
    var view = ins.operand(index).*;
    view.rank = 3;
    view.dims[0..3].* = .{ 1, @intCast(m), @intCast(n) };
    view.strides[0..3].* = .{ m * n, n, 1 };
    return .{ .index = index, .offset = offset, .view = view };
}

fn transposed(of: Part) Part {
    var moved = of;
    const view = &moved.view;
    view.dims[1..3].* = .{ of.view.dims[2], of.view.dims[1] };
    view.strides[1..3].* = .{ of.view.strides[2], of.view.strides[1] };
    return moved;
}

/// Elements [start, start + n) of a contiguous operand of 4-byte elements.
fn vector(ins: *const Instruction, index: u32, start: u64, n: u64) Part {
    var view = ins.operand(index).*;
    view.rank = 1;
    view.dims[0] = @intCast(n);
    view.strides[0] = 1;
    return .{ .index = index, .offset = start * 4, .view = view };
}
