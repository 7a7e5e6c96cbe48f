//! softmax over the last dim, rows of any length.
//! check: x, y contiguous f32|bf16 [.., C] with equal rows and C; y may be x when their dtypes are equal. No words.
//! Workspace: none. Private scratch: none.
const kernel = @import("../cpu/kernel.zig");
const rows = @import("../cpu/rows.zig");
const simd = @import("../cpu/simd.zig");

const F = rows.F;
const lanes = rows.lanes;

fn check(ins: *const kernel.Instruction) callconv(.c) rows.Problem {
    if (ins.word_count != 0) return "expected no words";
    if (!rows.has_operands(ins, 2)) return "expected x -> y";
    const x = ins.operand(0);
    const y = ins.operand(1);
    if (!rows.is_rows(x) or !simd.is_float(x.dtype))
        return "x must be contiguous f32 or bf16 [M, C]";
    if (!rows.is_rows(y) or !simd.is_float(y.dtype) or !rows.is_result(y))
        return "y must be a contiguous f32 or bf16 result";
    if (kernel.row_count(y) != kernel.row_count(x) or y.dim_last(0) != x.dim_last(0))
        return "y must have the shape of x";
    return null;
}

fn run(t: *kernel.Thread, ins: *const kernel.Instruction) callconv(.c) void {
    const x = ins.operand(0);
    const y = ins.operand(1);
    const m = kernel.row_count(x);
    const c = x.dim_last(0);
    const per_tile = rows.rows_per_tile(c);
    const tiles = rows.tile_count(m, per_tile);
    while (t.claim(tiles)) |tile| {
        const range = rows.tile_range(tile, per_tile, m);
        inline for (rows.float_dtypes) |from| inline for (rows.float_dtypes) |to| {
            const X = rows.Storage(from);
            const Y = rows.Storage(to);
            if (x.dtype == from and y.dtype == to) {
                for (range.start..range.end) |row|
                    run_row(X, Y, x.ptr(X) + row * c, y.ptr(Y) + row * c, c);
            }
        };
    }
}

fn run_row(comptime X: type, comptime Y: type, x: [*]const X, y: [*]Y, c: u64) void {
    const lse = rows.row_lse(X, x, c);
    const shift = rows.splat(lse.max);
    const scale = rows.splat(1.0 / lse.sum);
    var i: u64 = 0;
    while (i < c) : (i += lanes) {
        const e = rows.exp_shifted(rows.load_at(X, x, i, c, 0), shift);
        rows.store_at(Y, y, i, c, e * scale);
    }
}

pub const kernels = [_]kernel.Kernel{.{ .opcode = .softmax, .run = run, .check = check }};
