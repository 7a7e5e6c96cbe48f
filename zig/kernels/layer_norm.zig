//! layer_norm: y = (x - mean) * rstd * weight (+ bias) over the last dim; saves mean and rstd.
//! check: x, y contiguous f32|bf16 [.., C] with equal rows and C; weight (bias) f32 [C]; mean, rstd f32 with M elements.
//! Workspace: none. Private scratch: none.
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const rows = @import("../cpu/rows.zig");
const simd = @import("../cpu/simd.zig");

const F = rows.F;
const lanes = rows.lanes;

const Args = struct {
    x: *const abi.Operand,
    y: *const abi.Operand,
    weight: [*]const f32,
    bias: ?[*]const f32,
    mean: [*]f32,
    rstd: [*]f32,
};

fn check(ins: *const kernel.Instruction) callconv(.c) rows.Problem {
    if (ins.word_count != 2 or ins.word(1) > 1) return "words must be eps, has_bias (0 or 1)";
    const has_bias = ins.word(1);
    if (!rows.has_operands(ins, 5 + has_bias)) return "expected x, weight, (bias) -> y, mean, rstd";
    const x = ins.operand(0);
    const y = ins.operand(2 + has_bias);
    if (!rows.is_rows(x) or !simd.is_float(x.dtype))
        return "x must be contiguous f32 or bf16 [M, C]";
    const m = kernel.row_count(x);
    const c = x.dim_last(0);
    if (!rows.is_rows(y) or !simd.is_float(y.dtype) or
        kernel.row_count(y) != m or y.dim_last(0) != c)
        return "y must be contiguous f32 or bf16 with the shape of x";
    for (1..2 + has_bias) |i| {
        if (!rows.is_vector(ins.operand(i), c)) return "weight and bias must be contiguous f32 [C]";
    }
    for (2 + has_bias..5 + has_bias) |i| {
        if (!rows.is_result(ins.operand(i))) return "y, mean and rstd must be results";
    }
    for (3 + has_bias..5 + has_bias) |i| {
        if (!rows.is_vector(ins.operand(i), m)) return "mean and rstd must be contiguous f32 [M]";
    }
    return null;
}

fn run(t: *kernel.Thread, ins: *const kernel.Instruction) callconv(.c) void {
    const has_bias = ins.word(1);
    const args = Args{
        .x = ins.operand(0),
        .y = ins.operand(2 + has_bias),
        .weight = ins.operand(1).ptr(f32),
        .bias = if (has_bias == 1) ins.operand(2).ptr(f32) else null,
        .mean = ins.operand(3 + has_bias).ptr(f32),
        .rstd = ins.operand(4 + has_bias).ptr(f32),
    };
    const m = kernel.row_count(args.x);
    const per_tile = rows.rows_per_tile(args.x.dim_last(0));
    const tiles = rows.tile_count(m, per_tile);
    while (t.claim(tiles)) |tile| {
        const range = rows.tile_range(tile, per_tile, m);
        inline for (rows.float_dtypes) |from| inline for (rows.float_dtypes) |to| {
            if (args.x.dtype == from and args.y.dtype == to)
                run_rows(rows.Storage(from), rows.Storage(to), &args, range, ins.float(0));
        };
    }
}

fn run_rows(
    comptime X: type,
    comptime Y: type,
    args: *const Args,
    range: rows.Range,
    eps: f32,
) void {
    const c = args.x.dim_last(0);
    const scale = 1.0 / @as(f32, @floatFromInt(c));
    for (range.start..range.end) |row| {
        const x = args.x.ptr(X) + row * c;
        const mean = sum_row(X, x, c) * scale;
        const variance = sum_squares(X, x, c, mean) * scale;
        const rstd = 1.0 / @sqrt(variance + eps);
        args.mean[row] = mean;
        args.rstd[row] = rstd;
        normalize(X, Y, args, x, args.y.ptr(Y) + row * c, mean, rstd);
    }
}

fn sum_row(comptime X: type, x: [*]const X, c: u64) f32 {
    var s: [4]F = @splat(rows.splat(0));
    var i: u64 = 0;
    while (i + 4 * lanes <= c) : (i += 4 * lanes) {
        inline for (0..4) |k| s[k] += simd.load(X, x + i + k * lanes);
    }
    while (i < c) : (i += lanes) s[0] += rows.load_at(X, x, i, c, 0);
    return rows.sum((s[0] + s[1]) + (s[2] + s[3]));
}

fn sum_squares(comptime X: type, x: [*]const X, c: u64, mean: f32) f32 {
    const center = rows.splat(mean);
    var s: [4]F = @splat(rows.splat(0));
    var i: u64 = 0;
    while (i + 4 * lanes <= c) : (i += 4 * lanes) {
        inline for (0..4) |k| {
            // The next row comes in while this one is scanned again.
            @prefetch(x + c + i + k * lanes, .{});
            const d = simd.load(X, x + i + k * lanes) - center;
            s[k] = @mulAdd(F, d, d, s[k]);
        }
    }
    while (i < c) : (i += lanes) {
        const d = rows.load_at(X, x, i, c, mean) - center;
        s[0] = @mulAdd(F, d, d, s[0]);
    }
    return rows.sum((s[0] + s[1]) + (s[2] + s[3]));
}

fn normalize(
    comptime X: type,
    comptime Y: type,
    args: *const Args,
    x: [*]const X,
    y: [*]Y,
    mean: f32,
    rstd: f32,
) void {
    const c = args.x.dim_last(0);
    var i: u64 = 0;
    while (i < c) : (i += lanes) {
        const centered = (rows.load_at(X, x, i, c, 0) - rows.splat(mean)) * rows.splat(rstd);
        const weight = rows.load_at(f32, args.weight, i, c, 0);
        const shift = if (args.bias) |bias| rows.load_at(f32, bias, i, c, 0) else rows.splat(0);
        rows.store_at(Y, y, i, c, @mulAdd(F, centered, weight, shift));
    }
}

pub const kernels = [_]kernel.Kernel{.{ .opcode = .layer_norm, .run = run, .check = check }};
