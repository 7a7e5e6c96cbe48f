//! rms_norm: y = x * rstd * weight with rstd = 1 / sqrt(mean(x^2) + eps) over the last dim; saves rstd.
//! check: x, y contiguous f32|bf16 [.., C] with equal rows and C; weight f32 [C]; rstd f32 with M elements.
//! Workspace: none. Private scratch: none.
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const rows = @import("../cpu/rows.zig");
const simd = @import("../cpu/simd.zig");

const F = rows.F;
const lanes = rows.lanes;

fn check(ins: *const kernel.Instruction) callconv(.c) rows.Problem {
    if (ins.word_count != 1) return "words must be eps";
    if (!rows.has_operands(ins, 4)) return "expected x, weight -> y, rstd";
    const x = ins.operand(0);
    const y = ins.operand(2);
    if (!rows.is_rows(x) or !simd.is_float(x.dtype))
        return "x must be contiguous f32 or bf16 [M, C]";
    const m = kernel.row_count(x);
    const c = x.dim_last(0);
    if (!rows.is_rows(y) or !simd.is_float(y.dtype) or
        kernel.row_count(y) != m or y.dim_last(0) != c)
        return "y must be contiguous f32 or bf16 with the shape of x";
    if (!rows.is_vector(ins.operand(1), c)) return "weight must be contiguous f32 [C]";
    if (!rows.is_vector(ins.operand(3), m)) return "rstd must be contiguous f32 [M]";
    if (!rows.is_result(y) or !rows.is_result(ins.operand(3))) return "y and rstd must be results";
    return null;
}

fn run(t: *kernel.Thread, ins: *const kernel.Instruction) callconv(.c) void {
    const x = ins.operand(0);
    const y = ins.operand(2);
    const m = kernel.row_count(x);
    const per_tile = rows.rows_per_tile(x.dim_last(0));
    const tiles = rows.tile_count(m, per_tile);
    while (t.claim(tiles)) |tile| {
        const range = rows.tile_range(tile, per_tile, m);
        inline for (rows.float_dtypes) |from| inline for (rows.float_dtypes) |to| {
            if (x.dtype == from and y.dtype == to)
                run_rows(rows.Storage(from), rows.Storage(to), ins, range);
        };
    }
}

fn run_rows(
    comptime X: type,
    comptime Y: type,
    ins: *const kernel.Instruction,
    range: rows.Range,
) void {
    const c = ins.operand(0).dim_last(0);
    const weight = ins.operand(1).ptr(f32);
    const rstds = ins.operand(3).ptr(f32);
    for (range.start..range.end) |row| {
        const x = ins.operand(0).ptr(X) + row * c;
        const y = ins.operand(2).ptr(Y) + row * c;
        const mean = sum_squares(X, x, c) / @as(f32, @floatFromInt(c));
        const rstd = 1.0 / @sqrt(mean + ins.float(0));
        rstds[row] = rstd;
        var i: u64 = 0;
        while (i < c) : (i += lanes) {
            // The next row comes in while this one is scanned again.
            @prefetch(x + c + i, .{});
            const scaled = rows.load_at(X, x, i, c, 0) * rows.splat(rstd);
            rows.store_at(Y, y, i, c, scaled * rows.load_at(f32, weight, i, c, 0));
        }
    }
}

fn sum_squares(comptime X: type, x: [*]const X, c: u64) f32 {
    var s: [4]F = @splat(rows.splat(0));
    var i: u64 = 0;
    while (i + 4 * lanes <= c) : (i += 4 * lanes) {
        inline for (0..4) |k| {
            const v = simd.load(X, x + i + k * lanes);
            s[k] = @mulAdd(F, v, v, s[k]);
        }
    }
    while (i < c) : (i += lanes) {
        const v = rows.load_at(X, x, i, c, 0);
        s[0] = @mulAdd(F, v, v, s[0]);
    }
    return rows.sum((s[0] + s[1]) + (s[2] + s[3]));
}

pub const kernels = [_]kernel.Kernel{.{ .opcode = .rms_norm, .run = run, .check = check }};
