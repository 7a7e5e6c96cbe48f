//! softmax_grad: dx = y * (dy - sum(y dy)) over the last dim.
//! check: y contiguous f32|bf16 [.., C]; dy, dx contiguous f32 with as many elements; dx may be dy. No words.
//! Workspace: none. Private scratch: none.
const kernel = @import("../cpu/kernel.zig");
const rows = @import("../cpu/rows.zig");
const simd = @import("../cpu/simd.zig");

const F = rows.F;
const lanes = rows.lanes;

fn check(ins: *const kernel.Instruction) callconv(.c) rows.Problem {
    if (ins.word_count != 0) return "expected no words";
    if (!rows.has_operands(ins, 3)) return "expected y, dy -> dx";
    const y = ins.operand(0);
    if (!rows.is_rows(y) or !simd.is_float(y.dtype))
        return "y must be contiguous f32 or bf16 [M, C]";
    for (1..3) |i| {
        if (!rows.is_vector(ins.operand(i), y.count()))
            return "dy and dx must be contiguous f32 [M, C]";
    }
    if (!rows.is_result(ins.operand(2))) return "dx must be a result";
    return null;
}

fn run(t: *kernel.Thread, ins: *const kernel.Instruction) callconv(.c) void {
    const y = ins.operand(0);
    const m = kernel.row_count(y);
    const c = y.dim_last(0);
    const per_tile = rows.rows_per_tile(c);
    const tiles = rows.tile_count(m, per_tile);
    while (t.claim(tiles)) |tile| {
        const range = rows.tile_range(tile, per_tile, m);
        inline for (rows.float_dtypes) |dtype| if (y.dtype == dtype) {
            const Y = rows.Storage(dtype);
            for (range.start..range.end) |row| {
                const at = row * c;
                run_row(
                    Y,
                    y.ptr(Y) + at,
                    ins.operand(1).ptr(f32) + at,
                    ins.operand(2).ptr(f32) + at,
                    c,
                );
            }
        };
    }
}

fn run_row(comptime Y: type, y: [*]const Y, dy: [*]const f32, dx: [*]f32, c: u64) void {
    var s: [2]F = @splat(rows.splat(0));
    var i: u64 = 0;
    while (i + 2 * lanes <= c) : (i += 2 * lanes) {
        inline for (0..2) |k| {
            const at = i + k * lanes;
            s[k] = @mulAdd(F, simd.load(Y, y + at), simd.load(f32, dy + at), s[k]);
        }
    }
    while (i < c) : (i += lanes)
        s[0] = @mulAdd(F, rows.load_at(Y, y, i, c, 0), rows.load_at(f32, dy, i, c, 0), s[0]);
    const mean = rows.splat(rows.sum(s[0] + s[1]));
    i = 0;
    while (i < c) : (i += lanes) {
        const d = rows.load_at(f32, dy, i, c, 0) - mean;
        rows.store_at(f32, dx, i, c, d * rows.load_at(Y, y, i, c, 0));
    }
}

pub const kernels = [_]kernel.Kernel{.{ .opcode = .softmax_grad, .run = run, .check = check }};
