//! cross_entropy: lse = log(sum(exp(logits))), loss = lse - logits[target]; loss 0 where an i32 target is -1.
//! Any other target outside [0, V) fails the program, gives loss 0 and reads nothing.
//! check: logits contiguous f32|bf16 [.., V]; targets contiguous i32|u32 with M elements; loss, lse f32 [M]. No words.
//! Workspace: none. Private scratch: none.
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const rows = @import("../cpu/rows.zig");
const simd = @import("../cpu/simd.zig");

fn check(ins: *const kernel.Instruction) callconv(.c) rows.Problem {
    if (ins.word_count != 0) return "expected no words";
    if (!rows.has_operands(ins, 4)) return "expected logits, targets -> loss, lse";
    const logits = ins.operand(0);
    const targets = ins.operand(1);
    if (!rows.is_rows(logits) or !simd.is_float(logits.dtype))
        return "logits must be contiguous f32 or bf16 [M, V]";
    const m = kernel.row_count(logits);
    if (!simd.is_index(targets.dtype) or !rows.is_plain(targets) or targets.count() != m)
        return "targets must be contiguous i32 or u32 [M]";
    for (2..4) |i| {
        if (!rows.is_vector(ins.operand(i), m) or !rows.is_result(ins.operand(i)))
            return "loss and lse must be contiguous f32 [M] results";
    }
    return null;
}

fn run(t: *kernel.Thread, ins: *const kernel.Instruction) callconv(.c) void {
    const logits = ins.operand(0);
    const m = kernel.row_count(logits);
    const c = logits.dim_last(0);
    const loss = ins.operand(2).ptr(f32);
    const lse = ins.operand(3).ptr(f32);
    const per_tile = rows.rows_per_tile(c);
    const tiles = rows.tile_count(m, per_tile);
    while (t.claim(tiles)) |tile| {
        const range = rows.tile_range(tile, per_tile, m);
        inline for (rows.float_dtypes) |dtype| if (logits.dtype == dtype) {
            const X = rows.Storage(dtype);
            for (range.start..range.end) |row| {
                const x = logits.ptr(X) + row * c;
                const parts = rows.row_lse(X, x, c);
                // (max - x) first: both are of the logits' size, their difference often is not.
                loss[row] = if (rows.read_target(t, ins, 1, row, c)) |target|
                    (parts.max - simd.load_one(X, x, target)) + @log(parts.sum)
                else
                    0;
                lse[row] = parts.value();
            }
        };
    }
}

pub const kernels = [_]kernel.Kernel{.{ .opcode = .cross_entropy, .run = run, .check = check }};
