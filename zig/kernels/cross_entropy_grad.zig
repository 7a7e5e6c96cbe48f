//! cross_entropy_grad: dlogits = dloss * (exp(logits - lse) - onehot(target)); a row whose i32 target is -1 is 0.
//! Any other target outside [0, V) fails the program and gives a row of 0.
//! check: logits contiguous f32|bf16 [.., V]; targets contiguous i32|u32 with M elements; lse, dloss f32 [M];
//! dlogits contiguous f32 with M*V elements, may be logits when those are f32. No words.
//! Workspace: none. Private scratch: none.
const kernel = @import("../cpu/kernel.zig");
const rows = @import("../cpu/rows.zig");
const simd = @import("../cpu/simd.zig");

const lanes = rows.lanes;

fn check(ins: *const kernel.Instruction) callconv(.c) rows.Problem {
    if (ins.word_count != 0) return "expected no words";
    if (!rows.has_operands(ins, 5)) return "expected logits, targets, lse, dloss -> dlogits";
    const logits = ins.operand(0);
    const targets = ins.operand(1);
    if (!rows.is_rows(logits) or !simd.is_float(logits.dtype))
        return "logits must be contiguous f32 or bf16 [M, V]";
    const m = kernel.row_count(logits);
    if (!simd.is_index(targets.dtype) or !rows.is_plain(targets) or targets.count() != m)
        return "targets must be contiguous i32 or u32 [M]";
    for (2..4) |i| {
        if (!rows.is_vector(ins.operand(i), m)) return "lse and dloss must be contiguous f32 [M]";
    }
    const dlogits = ins.operand(4);
    if (!rows.is_vector(dlogits, logits.count()) or !rows.is_result(dlogits))
        return "dlogits must be a contiguous f32 [M, V] result";
    return null;
}

fn run(t: *kernel.Thread, ins: *const kernel.Instruction) callconv(.c) void {
    const logits = ins.operand(0);
    const m = kernel.row_count(logits);
    const c = logits.dim_last(0);
    const per_tile = rows.rows_per_tile(c);
    const tiles = rows.tile_count(m, per_tile);
    while (t.claim(tiles)) |tile| {
        const range = rows.tile_range(tile, per_tile, m);
        inline for (rows.float_dtypes) |dtype| if (logits.dtype == dtype) {
            const X = rows.Storage(dtype);
            for (range.start..range.end) |row| run_row(X, t, ins, row, c);
        };
    }
}

fn run_row(
    comptime X: type,
    t: *kernel.Thread,
    ins: *const kernel.Instruction,
    row: u64,
    c: u64,
) void {
    const x = ins.operand(0).ptr(X) + row * c;
    const out = ins.operand(4).ptr(f32) + row * c;
    const target = rows.read_target(t, ins, 1, row, c) orelse {
        @memset(out[0..c], 0);
        return;
    };
    const lse = rows.splat(ins.operand(2).ptr(f32)[row]);
    const dloss = ins.operand(3).ptr(f32)[row];
    var i: u64 = 0;
    while (i < c) : (i += lanes) {
        const p = rows.exp_shifted(rows.load_at(X, x, i, c, 0), lse);
        rows.store_at(f32, out, i, c, p * rows.splat(dloss));
    }
    out[target] -= dloss;
}

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .cross_entropy_grad, .run = run, .check = check },
};
