//! `gather`: rows of a table by index, bytes as they are. An index out of range fails the program and leaves its row
//! of the result untouched. No workspace and no scratch.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const expect = @import("../cpu/expect.zig");
const strided = @import("../cpu/strided.zig");

const Instruction = kernel.Instruction;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .gather, .run = run, .check = check },
};

fn check(ins: *const Instruction) callconv(.c) ?[*:0]const u8 {
    if (!expect.operands(ins, 3, 0)) return "gather: needs three operands and no words";
    const table = ins.operand(0);
    const ids = ins.operand(1);
    const out = ins.operand(2);
    if (table.rank == 0 or !strided.is_dense(table)) return "gather: the table is not contiguous";
    if (!expect.dense_index(ids)) return "gather: the indices are not contiguous i32 or u32";
    if (!expect.dense_output(out)) return "gather: the result is not contiguous";
    if (out.dtype != table.dtype) return "gather: table and result differ in dtype";
    if (!expect.joined_dims(out, ids, table, 1)) return "gather: wrong result dims";
    return null;
}

fn run(t: *kernel.Thread, ins: *const Instruction) callconv(.c) void {
    const table = ins.operand(0);
    const ids = ins.operand(1);
    const out = ins.operand(2);
    if (out.count() == 0) return;
    const row_bytes = expect.row_elements(table) * abi.dtype_bytes(table.dtype);
    const n = ids.count();
    const together = @max(1, 65536 / row_bytes);
    const tiles = strided.tile_count(n, together);
    while (t.claim(tiles)) |tile| {
        for (tile * together..@min(n, (tile + 1) * together)) |k| {
            const id = expect.index_at(ids, k);
            if (id < 0 or id >= table.dims[0]) {
                t.fail(ins, .index_out_of_range, k, id);
                continue;
            }
            const from = table.data + @as(u64, @intCast(id)) * row_bytes;
            move_bytes(out.data + k * row_bytes, from, row_bytes);
        }
    }
}

/// Single elements, as in picking one value of each row, are not worth a call.
inline fn move_bytes(to: [*]u8, from: [*]const u8, n: u64) void {
    if (n == 4) {
        to[0..4].* = from[0..4].*;
    } else {
        @memmove(to[0..n], from[0..n]);
    }
}

const testing = std.testing;
const team = @import("../cpu/test_team.zig");

test "rows, scalars and dtypes" {
    const v = 50;
    var table: [v * 24]u32 = undefined;
    for (&table, 0..) |*x, i| x.* = @truncate(i *% 2654435761);
    var ids: [3 * 40]u32 = undefined;
    for (&ids, 0..) |*id, i| id.* = @intCast(i * 31 % v);
    var out: [3 * 40 * 24]u32 = undefined;
    const index = team.contiguous(@as([]u32, &ids), .i32, &.{ 3, 40 });
    for ([_]u32{ 1, 4, 6 }) |row| for (1..4) |threads| {
        const from = team.contiguous(@as([]u32, &table), .f32, &.{ v, row, 4 });
        const to = team.output(team.contiguous(@as([]u32, &out), .f32, &.{ 3, 40, row, 4 }));
        const ins = team.instruction(.gather, &.{ from, index, to }, &.{}, false);
        const state = try team.run(kernels[0], &ins, @intCast(threads));
        try testing.expectEqual(0, state.failed);
        for (ids, 0..) |id, k| try testing.expectEqualSlices(
            u32,
            table[id * row * 4 ..][0 .. row * 4],
            out[k * row * 4 ..][0 .. row * 4],
        );
    };
    const scalars = team.contiguous(@as([]u32, &table), .bf16, &.{v});
    const picked = team.output(team.contiguous(@as([]u32, &out), .bf16, &.{ 3, 40 }));
    const ins = team.instruction(.gather, &.{ scalars, index, picked }, &.{}, false);
    _ = try team.run(kernels[0], &ins, 2);
    const halves: []const u16 = @ptrCast(&table);
    const got: []const u16 = @ptrCast(&out);
    for (ids, 0..) |id, k| try testing.expectEqual(halves[id], got[k]);
}

test "an index out of range fails and writes nothing" {
    var table: [10]u32 = @splat(1);
    var out: [3]u32 = @splat(7);
    for ([_]i32{ 10, -1, std.math.minInt(i32) }) |bad| {
        var ids = [_]i32{ 2, bad, 9 };
        const operands = [_]abi.Operand{
            team.contiguous(@as([]u32, &table), .u32, &.{10}),
            team.contiguous(@as([]i32, &ids), .i32, &.{3}),
            team.output(team.contiguous(@as([]u32, &out), .u32, &.{3})),
        };
        const ins = team.instruction(.gather, &operands, &.{}, false);
        const state = try team.run(kernels[0], &ins, 2);
        try testing.expectEqual(@intFromEnum(abi.Status.index_out_of_range), state.failed);
        try testing.expectEqual(1, state.failed_position);
        try testing.expectEqual(bad, state.failed_value);
        try testing.expectEqualSlices(u32, &.{ 1, 7, 1 }, &out);
    }
}

test "check" {
    var data: [64]u32 = @splat(0);
    const table = team.contiguous(@as([]u32, &data), .f32, &.{ 4, 4 });
    const ids = team.contiguous(@as([]u32, &data), .u32, &.{3});
    const out = team.output(team.contiguous(@as([]u32, &data), .f32, &.{ 3, 4 }));
    const wide = team.output(team.contiguous(@as([]u32, &data), .f32, &.{ 3, 5 }));
    const floats = team.contiguous(@as([]u32, &data), .f32, &.{3});
    const scalar = team.contiguous(@as([]u32, &data), .f32, &.{});
    const Operands = [3]abi.Operand;
    const good = Operands{ table, ids, out };
    const ins = team.instruction(.gather, &good, &.{}, false);
    try testing.expectEqual(null, team.check(kernels[0], &ins));
    const wrong = [_]Operands{
        .{ table, ids, wide }, .{ table, floats, out }, .{ scalar, ids, out },
    };
    for (wrong) |bad| {
        const refused = team.instruction(.gather, &bad, &.{}, false);
        try testing.expect(team.check(kernels[0], &refused) != null);
    }
}
