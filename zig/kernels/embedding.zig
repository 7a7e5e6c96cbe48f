//! `embedding`: rows of an f32 table as f32 or bf16. An id out of range fails the program and leaves its row of the
//! result untouched. No workspace and no scratch.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const expect = @import("../cpu/expect.zig");
const simd = @import("../cpu/simd.zig");
const strided = @import("../cpu/strided.zig");

const Instruction = kernel.Instruction;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .embedding, .run = run, .check = check },
};

fn check(ins: *const Instruction) callconv(.c) ?[*:0]const u8 {
    if (!expect.operands(ins, 3, 0)) return "embedding: needs three operands and no words";
    const ids = ins.operand(0);
    const table = ins.operand(1);
    const out = ins.operand(2);
    if (!expect.dense_index(ids)) return "embedding: the ids are not contiguous i32 or u32";
    if (!expect.dense_of(table, .f32) or table.rank != 2)
        return "embedding: the table is not contiguous f32 [V, C]";
    if (!expect.dense_output(out) or !simd.is_float(out.dtype))
        return "embedding: the result is not contiguous f32 or bf16";
    if (!expect.joined_dims(out, ids, table, 1)) return "embedding: wrong result dims";
    return null;
}

fn run(t: *kernel.Thread, ins: *const Instruction) callconv(.c) void {
    if (ins.operand(2).count() == 0) return;
    switch (ins.operand(2).dtype) {
        .f32 => run_typed(f32, t, ins),
        else => run_typed(u16, t, ins),
    }
}

fn run_typed(comptime T: type, t: *kernel.Thread, ins: *const Instruction) void {
    const ids = ins.operand(0);
    const table = ins.operand(1);
    const out = ins.operand(2).ptr(T);
    const c: u64 = table.dims[1];
    const n = ids.count();
    const together = @max(1, 16384 / c);
    const tiles = strided.tile_count(n, together);
    while (t.claim(tiles)) |tile| {
        for (tile * together..@min(n, (tile + 1) * together)) |k| {
            const id = expect.index_at(ids, k);
            if (id < 0 or id >= table.dims[0]) {
                t.fail(ins, .index_out_of_range, k, id);
                continue;
            }
            convert_row(T, out + k * c, table.ptr(f32) + @as(u64, @intCast(id)) * c, c);
        }
    }
}

fn convert_row(comptime T: type, to: [*]T, from: [*]const f32, n: u64) void {
    if (T == f32) return @memmove(to[0..n], from[0..n]);
    var i: u64 = 0;
    while (i + simd.lanes <= n) : (i += simd.lanes) simd.store(T, to + i, simd.load(f32, from + i));
    while (i < n) : (i += 1) simd.store_one(T, to, i, from[i]);
}

const testing = std.testing;
const team = @import("../cpu/test_team.zig");

test "rows in f32 and bf16; a bad id leaves its row" {
    const v = 37;
    const c = 53;
    const m = 400;
    var table: [v * c]f32 = undefined;
    for (&table, 0..) |*x, i| x.* = @as(f32, @floatFromInt(i)) * 0.123 - 50;
    var ids: [m]i32 = undefined;
    for (&ids, 0..) |*id, i| id.* = @intCast(i * 29 % v);
    var y: [m * c]f32 = undefined;
    var halves: [m * c]u16 = undefined;
    const tokens = team.contiguous(@as([]i32, &ids), .i32, &.{m});
    const from = team.contiguous(@as([]f32, &table), .f32, &.{ v, c });
    const to = team.output(team.contiguous(@as([]f32, &y), .f32, &.{ m, c }));
    const to_half = team.output(team.contiguous(@as([]u16, &halves), .bf16, &.{ m, c }));
    const ins = team.instruction(.embedding, &.{ tokens, from, to }, &.{}, false);
    const narrow = team.instruction(.embedding, &.{ tokens, from, to_half }, &.{}, false);
    for (1..4) |threads| {
        _ = try team.run(kernels[0], &ins, @intCast(threads));
        _ = try team.run(kernels[0], &narrow, @intCast(threads));
        for (ids, 0..) |id, k| for (0..c) |j| {
            const want = table[@as(usize, @intCast(id)) * c + j];
            try testing.expectEqual(want, y[k * c + j]);
            try testing.expectEqual(simd.bf16_from_f32(want), halves[k * c + j]);
        };
    }
    ids[5] = v;
    @memset(&y, -7);
    const state = try team.run(kernels[0], &ins, 2);
    try testing.expectEqual(5, state.failed_position);
    try testing.expectEqual(v, state.failed_value);
    for (y[5 * c ..][0..c]) |x| try testing.expectEqual(-7, x);
    try testing.expectEqual(table[@as(usize, @intCast(ids[6])) * c], y[6 * c]);
}

test "check" {
    var data: [64]f32 = @splat(0);
    const ids = team.contiguous(@as([]f32, &data), .u32, &.{3});
    const table = team.contiguous(@as([]f32, &data), .f32, &.{ 4, 4 });
    const out = team.output(team.contiguous(@as([]f32, &data), .f32, &.{ 3, 4 }));
    const short = team.output(team.contiguous(@as([]f32, &data), .f32, &.{ 3, 3 }));
    for ([_][3]abi.Operand{ .{ ids, table, short }, .{ table, table, out } }) |bad| {
        const ins = team.instruction(.embedding, &bad, &.{}, false);
        try testing.expect(team.check(kernels[0], &ins) != null);
    }
    const good = team.instruction(.embedding, &.{ ids, table, out }, &.{}, false);
    try testing.expectEqual(null, team.check(kernels[0], &good));
}
