//! `cache_write`: rows of new keys or values put into their places of a cache; nothing else of it is touched when it is
//! written in place. Work: one claim per token; tokens that name one place twice leave either of their values.
//! check: cache f32|bf16 [R, G, S, D] contiguous, x f32|bf16 [B, T, G, D] with D contiguous, rows i32 [B] and slots
//! i32 [B, T] contiguous, the result like the cache. A row outside [0, R) or a slot beyond S fails the program; a slot
//! below 0 writes nothing. No workspace and no scratch.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const expect = @import("../cpu/expect.zig");
const simd = @import("../cpu/simd.zig");
const rows = @import("../cpu/rows.zig");
const strided = @import("../cpu/strided.zig");
const problem = @import("../cpu/attention_problem.zig");
const Move = @import("../cpu/move.zig").Move;

const Instruction = kernel.Instruction;
const Operand = abi.Operand;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .cache_write, .run = run, .check = check },
};

fn check(ins: *const Instruction) callconv(.c) ?[*:0]const u8 {
    if (!expect.operands(ins, 5, 0)) return "expected cache, x, rows, slots -> cache";
    const cache = ins.operand(0);
    const x = ins.operand(1);
    const slots = ins.operand(3);
    const out = ins.operand(4);
    if (!expect.dense_float(cache) or cache.rank != 4)
        return "the cache must be contiguous f32 or bf16 [R, G, S, D]";
    for (cache.dims[0..4]) |d| if (d == 0) return "the cache must not be empty";
    if (!expect.dense_output(out) or out.dtype != cache.dtype or !kernel.same_dims(cache, out))
        return "the result is not like the cache";
    if (!problem.is_heads(x) or !simd.is_float(x.dtype) or
        x.dims[2] != cache.dims[1] or x.dims[3] != cache.dims[3])
        return "x must be f32 or bf16 [B, T, G, D], D contiguous";
    if (strided.checked_count(x) == null or strided.checked_count(slots) == null)
        return "x has too many elements";
    if (!is_index(ins.operand(2), 1, x) or !is_index(slots, 2, x))
        return "rows must be i32 [B] and slots i32 [B, T], contiguous";
    if (slots.count() > 1 << 31) return "too many tokens";
    return null;
}

fn is_index(o: *const Operand, rank: u8, x: *const Operand) bool {
    return expect.dense_of(o, .i32) and o.rank == rank and
        std.mem.eql(u32, o.dims[0..rank], x.dims[0..rank]);
}

fn run(t: *kernel.Thread, ins: *const Instruction) callconv(.c) void {
    const cache = ins.operand(0);
    const x = ins.operand(1);
    const out = ins.operand(4);
    if (cache.data != out.data) {
        const strides = cache.strides[0..4];
        const bytes = abi.dtype_bytes(cache.dtype);
        Move.init(cache.dims[0..4], out.data, strides, cache.data, strides).run(t, bytes);
        t.barrier();
    }
    const length = x.dims[1];
    while (t.claim(@intCast(ins.operand(3).count()))) |token| {
        const slot = expect.index_at(ins.operand(3), token);
        if (slot < 0) continue;
        const row = expect.index_at(ins.operand(2), token / length);
        if (row < 0 or row >= cache.dims[0]) {
            t.fail(ins, .index_out_of_range, token / length, row);
        } else if (slot >= cache.dims[2]) {
            t.fail(ins, .index_out_of_range, token, slot);
        } else inline for (rows.float_dtypes) |from| inline for (rows.float_dtypes) |to| {
            if (x.dtype == from and out.dtype == to)
                write(rows.Storage(from), rows.Storage(to), x, out, .{
                    .batch = token / length,
                    .step = token % length,
                    .row = @intCast(row),
                    .slot = @intCast(slot),
                });
        };
    }
}

const Place = struct { batch: u64, step: u64, row: u64, slot: u64 };

fn write(
    comptime X: type,
    comptime Y: type,
    x: *const Operand,
    out: *const Operand,
    at: Place,
) void {
    const size = x.dims[3];
    for (0..x.dims[2]) |head| {
        const from = problem.row_of(X, x, at.batch, at.step, head);
        const to = problem.row_of(Y, out, at.row, head, at.slot);
        var i: u64 = 0;
        while (i < size) : (i += rows.lanes)
            rows.store_at(Y, to, i, size, rows.load_at(X, from, i, size, 0));
    }
}
