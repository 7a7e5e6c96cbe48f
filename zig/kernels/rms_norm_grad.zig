//! rms_norm_grad: with n = x * rstd and g = dy * weight,
//! dx = rstd * (g - n * mean(g n)) (+ residual), dweight = sum of dy n over rows.
//! check: x contiguous f32|bf16 [.., C]; dy, residual, dx contiguous f32 of M*C elements; weight, dweight f32 [C]; rstd f32 [M].
//! dx may be the memory of residual (or of dy). Workspace: ceil(M / 32) * C f32. Private scratch: none.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const rows = @import("../cpu/rows.zig");
const simd = @import("../cpu/simd.zig");

const F = rows.F;
const lanes = rows.lanes;

fn check(ins: *const kernel.Instruction) callconv(.c) rows.Problem {
    if (ins.word_count != 1 or ins.word(0) > 1) return "words must be has_residual (0 or 1)";
    const first_result = 4 + ins.word(0);
    if (!rows.has_operands(ins, first_result + 2))
        return "expected x, weight, rstd, dy, (residual) -> dx, dweight, workspace";
    const x = ins.operand(0);
    if (!rows.is_rows(x) or !simd.is_float(x.dtype))
        return "x must be contiguous f32 or bf16 [M, C]";
    const m = kernel.row_count(x);
    const c = x.dim_last(0);
    const dweight = ins.operand(first_result + 1);
    if (!rows.is_vector(ins.operand(1), c) or !rows.is_vector(dweight, c))
        return "weight and dweight must be contiguous f32 [C]";
    if (!rows.is_vector(ins.operand(2), m)) return "rstd must be contiguous f32 [M]";
    for (3..first_result + 1) |i| {
        if (!rows.is_vector(ins.operand(i), m * c))
            return "dy, residual and dx must be contiguous f32 [M, C]";
    }
    if (!rows.is_result(ins.operand(first_result)) or !rows.is_result(dweight))
        return "dx and dweight must be results";
    const blocks = std.math.divCeil(u64, m, rows.partial_rows) catch unreachable;
    if (!rows.workspace_holds(ins, blocks * c)) return "workspace must hold ceil(M / 32) * C f32";
    return null;
}

const Args = struct {
    weight: [*]const f32,
    rstd: [*]const f32,
    dy: [*]const f32,
    residual: ?[*]const f32,
    dx: [*]f32,
    c: u64,
};

fn run(t: *kernel.Thread, ins: *const kernel.Instruction) callconv(.c) void {
    const has_residual = ins.word(0);
    const x = ins.operand(0);
    const m = kernel.row_count(x);
    const c = x.dim_last(0);
    const args = Args{
        .weight = ins.operand(1).ptr(f32),
        .rstd = ins.operand(2).ptr(f32),
        .dy = ins.operand(3).ptr(f32),
        .residual = if (has_residual == 1) ins.operand(4).ptr(f32) else null,
        .dx = ins.operand(4 + has_residual).ptr(f32),
        .c = c,
    };
    const partial = ins.workspace().ptr(f32);
    const blocks = rows.tile_count(m, rows.partial_rows);
    while (t.claim(blocks)) |block| {
        const range = rows.tile_range(block, rows.partial_rows, m);
        const sums = partial + block * c;
        @memset(sums[0..c], 0);
        inline for (rows.float_dtypes) |dtype| if (x.dtype == dtype) {
            const X = rows.Storage(dtype);
            for (range.start..range.end) |row| run_row(X, &args, x.ptr(X) + row * c, row, sums);
        };
    }
    t.barrier();
    const dweight = ins.operand(5 + has_residual).ptr(f32);
    while (t.claim(rows.tile_count(c, rows.reduce_columns))) |tile| {
        const columns = rows.tile_range(tile, rows.reduce_columns, c);
        rows.reduce_blocks(partial, blocks, c, columns.start, columns.end, dweight);
    }
}

fn run_row(comptime X: type, args: *const Args, x: [*]const X, row: u64, dweight: [*]f32) void {
    const c = args.c;
    const dy = args.dy + row * c;
    const rstd = rows.splat(args.rstd[row]);
    var sum_gn = rows.splat(0);
    var i: u64 = 0;
    while (i < c) : (i += lanes) {
        const n = rows.load_at(X, x, i, c, 0) * rstd;
        const d = rows.load_at(f32, dy, i, c, 0);
        const g = d * rows.load_at(f32, args.weight, i, c, 0);
        sum_gn = @mulAdd(F, g, n, sum_gn);
        rows.store_at(f32, dweight, i, c, @mulAdd(F, d, n, rows.load_at(f32, dweight, i, c, 0)));
    }
    const mean_gn = rows.splat(rows.sum(sum_gn) / @as(f32, @floatFromInt(c)));
    i = 0;
    while (i < c) : (i += lanes) {
        // The next row comes in while this one is scanned again.
        @prefetch(x + c + i, .{});
        @prefetch(dy + c + i, .{});
        const n = rows.load_at(X, x, i, c, 0) * rstd;
        const g = rows.load_at(f32, dy, i, c, 0) * rows.load_at(f32, args.weight, i, c, 0);
        const base = if (args.residual) |r|
            rows.load_at(f32, r + row * c, i, c, 0)
        else
            rows.splat(0);
        rows.store_at(
            f32,
            args.dx + row * c,
            i,
            c,
            @mulAdd(F, @mulAdd(F, -n, mean_gn, g), rstd, base),
        );
    }
}

pub const kernels = [_]kernel.Kernel{.{ .opcode = .rms_norm_grad, .run = run, .check = check }};
