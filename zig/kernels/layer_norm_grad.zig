//! layer_norm_grad: with n = (x - mean) * rstd and g = dy * weight,
//! dx = rstd * (g - mean(g) - n * mean(g n)) (+ residual), dweight = sum of dy n over rows, dbias = sum of dy.
//! check: x contiguous f32|bf16 [.., C]; dy, residual, dx contiguous f32 of M*C elements; weight, dweight, dbias f32 [C];
//! mean, rstd f32 [M]. dx may be the memory of residual (or of dy).
//! Workspace: ceil(M / 32) * C * (1 + has_bias) f32. Private scratch: none.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const rows = @import("../cpu/rows.zig");
const simd = @import("../cpu/simd.zig");

const F = rows.F;
const lanes = rows.lanes;

/// Index of each operand.
const Layout = struct {
    has_bias: bool,
    has_residual: bool,

    fn of(ins: *const kernel.Instruction) Layout {
        return .{ .has_bias = ins.word(0) == 1, .has_residual = ins.word(1) == 1 };
    }
    fn first_result(l: Layout) u32 {
        return 5 + @as(u32, @intFromBool(l.has_residual));
    }
    fn count(l: Layout) u32 {
        return l.first_result() + 2 + @as(u32, @intFromBool(l.has_bias));
    }
    /// Sums per column: dweight, dbias.
    fn sums(l: Layout) u32 {
        return 1 + @as(u32, @intFromBool(l.has_bias));
    }
};

fn check(ins: *const kernel.Instruction) callconv(.c) rows.Problem {
    if (ins.word_count != 2 or ins.word(0) > 1 or ins.word(1) > 1)
        return "words must be has_bias, has_residual (0 or 1)";
    const layout = Layout.of(ins);
    if (!rows.has_operands(ins, layout.count()))
        return "expected x, weight, mean, rstd, dy, (residual) -> dx, dweight, (dbias), workspace";
    const x = ins.operand(0);
    if (!rows.is_rows(x) or !simd.is_float(x.dtype))
        return "x must be contiguous f32 or bf16 [M, C]";
    const m = kernel.row_count(x);
    const c = x.dim_last(0);
    if (!rows.is_vector(ins.operand(1), c)) return "weight must be contiguous f32 [C]";
    if (!rows.is_vector(ins.operand(2), m) or !rows.is_vector(ins.operand(3), m))
        return "mean and rstd must be contiguous f32 [M]";
    for (4..layout.first_result() + 1) |i| {
        if (!rows.is_vector(ins.operand(i), m * c))
            return "dy, residual and dx must be contiguous f32 [M, C]";
    }
    for (layout.first_result()..layout.count()) |i| {
        if (!rows.is_result(ins.operand(i))) return "dx, dweight and dbias must be results";
    }
    for (layout.first_result() + 1..layout.count()) |i| {
        if (!rows.is_vector(ins.operand(i), c))
            return "dweight and dbias must be contiguous f32 [C]";
    }
    const blocks = std.math.divCeil(u64, m, rows.partial_rows) catch unreachable;
    if (!rows.workspace_holds(ins, blocks * c * layout.sums()))
        return "workspace must hold ceil(M / 32) * C * (1 + has_bias) f32";
    return null;
}

const Args = struct {
    weight: [*]const f32,
    mean: [*]const f32,
    rstd: [*]const f32,
    dy: [*]const f32,
    residual: ?[*]const f32,
    dx: [*]f32,
    c: u64,
};

fn run(t: *kernel.Thread, ins: *const kernel.Instruction) callconv(.c) void {
    const layout = Layout.of(ins);
    const x = ins.operand(0);
    const m = kernel.row_count(x);
    const c = x.dim_last(0);
    const args = Args{
        .weight = ins.operand(1).ptr(f32),
        .mean = ins.operand(2).ptr(f32),
        .rstd = ins.operand(3).ptr(f32),
        .dy = ins.operand(4).ptr(f32),
        .residual = if (layout.has_residual) ins.operand(5).ptr(f32) else null,
        .dx = ins.operand(layout.first_result()).ptr(f32),
        .c = c,
    };
    const partial = ins.workspace().ptr(f32);
    const blocks = rows.tile_count(m, rows.partial_rows);
    while (t.claim(blocks)) |block| {
        const range = rows.tile_range(block, rows.partial_rows, m);
        const sums = partial + block * c * layout.sums();
        @memset(sums[0 .. c * layout.sums()], 0);
        const dbias: ?[*]f32 = if (layout.has_bias) sums + c else null;
        inline for (rows.float_dtypes) |dtype| if (x.dtype == dtype) {
            const X = rows.Storage(dtype);
            for (range.start..range.end) |row|
                run_row(X, &args, x.ptr(X) + row * c, row, sums, dbias);
        };
    }
    t.barrier();
    const result = layout.first_result() + 1;
    const per_sum = rows.tile_count(c, rows.reduce_columns);
    while (t.claim(per_sum * layout.sums())) |tile| {
        const which = tile / per_sum;
        const columns = rows.tile_range(tile % per_sum, rows.reduce_columns, c);
        const out = ins.operand(result + which).ptr(f32);
        rows.reduce_blocks(
            partial + which * c,
            blocks,
            c * layout.sums(),
            columns.start,
            columns.end,
            out,
        );
    }
}

fn run_row(
    comptime X: type,
    args: *const Args,
    x: [*]const X,
    row: u64,
    dweight: [*]f32,
    dbias: ?[*]f32,
) void {
    const c = args.c;
    const dy = args.dy + row * c;
    const mean = rows.splat(args.mean[row]);
    const rstd = rows.splat(args.rstd[row]);
    var sum_g = rows.splat(0);
    var sum_gn = rows.splat(0);
    var i: u64 = 0;
    while (i < c) : (i += lanes) {
        const n = (rows.load_at(X, x, i, c, 0) - mean) * rstd;
        const d = rows.load_at(f32, dy, i, c, 0);
        const g = d * rows.load_at(f32, args.weight, i, c, 0);
        sum_g += g;
        sum_gn = @mulAdd(F, g, n, sum_gn);
        rows.store_at(f32, dweight, i, c, @mulAdd(F, d, n, rows.load_at(f32, dweight, i, c, 0)));
        if (dbias) |sums| rows.store_at(f32, sums, i, c, d + rows.load_at(f32, sums, i, c, 0));
    }
    const scale = 1.0 / @as(f32, @floatFromInt(c));
    const mean_g = rows.splat(rows.sum(sum_g) * scale);
    const mean_gn = rows.splat(rows.sum(sum_gn) * scale);
    i = 0;
    while (i < c) : (i += lanes) {
        // The next row comes in while this one is scanned again.
        @prefetch(x + c + i, .{});
        @prefetch(dy + c + i, .{});
        const n = (rows.load_at(X, x, i, c, 0) - mean) * rstd;
        const g = rows.load_at(f32, dy, i, c, 0) * rows.load_at(f32, args.weight, i, c, 0);
        const centered = @mulAdd(F, -n, mean_gn, g - mean_g);
        const base = if (args.residual) |r|
            rows.load_at(f32, r + row * c, i, c, 0)
        else
            rows.splat(0);
        rows.store_at(f32, args.dx + row * c, i, c, @mulAdd(F, centered, rstd, base));
    }
}

pub const kernels = [_]kernel.Kernel{.{ .opcode = .layer_norm_grad, .run = run, .check = check }};
