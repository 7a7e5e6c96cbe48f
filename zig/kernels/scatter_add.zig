//! `scatter_add`: rows added into a table by index, in the order of the indices, see zig/cpu/scatter.zig. An index out
//! of range fails the program; its row is left out. No workspace and no scratch.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const expect = @import("../cpu/expect.zig");
const Scatter = @import("../cpu/scatter.zig").Scatter;

const Instruction = kernel.Instruction;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .scatter_add, .run = run, .check = check },
};

fn check(ins: *const Instruction) callconv(.c) ?[*:0]const u8 {
    if (!expect.operands(ins, 4, 0)) return "scatter_add: needs four operands and no words";
    const base = ins.operand(0);
    const ids = ins.operand(1);
    const updates = ins.operand(2);
    const out = ins.operand(3);
    if (base.rank == 0 or !expect.dense_of(base, .f32) or !expect.dense_of(updates, .f32))
        return "scatter_add: base and updates are not contiguous f32";
    if (!expect.dense_index(ids))
        return "scatter_add: the indices are not contiguous i32 or u32";
    if (!expect.dense_output(out) or out.dtype != .f32 or !kernel.same_dims(base, out))
        return "scatter_add: the result is not like the base";
    if (!expect.joined_dims(updates, ids, base, 1)) return "scatter_add: wrong dims of the updates";
    const is_used = out.count() > 0 or updates.count() > 0;
    if (is_used and expect.row_elements(out) > 1 << 32) return "scatter_add: the rows are too long";
    return null;
}

fn run(t: *kernel.Thread, ins: *const Instruction) callconv(.c) void {
    const out = ins.operand(3);
    const empty = out.count() == 0 and ins.operand(2).count() == 0;
    const scatter: Scatter = .{
        .ins = ins,
        .ids = ins.operand(1),
        .updates = ins.operand(2).ptr(f32),
        .base = ins.operand(0).ptr(f32),
        .out = out.ptr(f32),
        .rows = out.dims[0],
        .columns = if (empty) 0 else expect.row_elements(out),
    };
    scatter.run(t);
}

const testing = std.testing;
const team = @import("../cpu/test_team.zig");

test "sums in index order, in place or not, the same bits for any thread count" {
    const Case = struct { v: u32, n: u32, c: u32 };
    const cases = [_]Case{
        .{ .v = 1000, .n = 333, .c = 24 }, .{ .v = 7, .n = 500, .c = 300 },
        .{ .v = 50, .n = 1000, .c = 1 },   .{ .v = 3, .n = 0, .c = 4 },
    };
    var prng = std.Random.DefaultPrng.init(5);
    const random = prng.random();
    for (cases) |case| {
        const table_count = case.v * case.c;
        const floats = try testing.allocator.alloc(f32, 3 * table_count + case.n * case.c);
        defer testing.allocator.free(floats);
        const ids = try testing.allocator.alloc(u32, case.n);
        defer testing.allocator.free(ids);
        for (floats) |*x| x.* = random.floatNorm(f32);
        for (ids) |*id| id.* = random.uintLessThan(u32, case.v) * random.uintLessThan(u32, 2);
        const base = floats[0..table_count];
        const want = floats[table_count..][0..table_count];
        const out = floats[2 * table_count ..][0..table_count];
        const updates = floats[3 * table_count ..];
        @memcpy(want, base);
        for (ids, 0..) |id, k| for (0..case.c) |j| {
            want[id * case.c + j] += updates[k * case.c + j];
        };
        for (1..5) |round| {
            // The last round works in place.
            const to = if (round == 4) base else out;
            const operands = [_]abi.Operand{
                team.contiguous(base, .f32, &.{ case.v, case.c }),
                team.contiguous(ids, .u32, &.{ 1, case.n }),
                team.contiguous(updates, .f32, &.{ 1, case.n, case.c }),
                team.output(team.contiguous(to, .f32, &.{ case.v, case.c })),
            };
            const ins = team.instruction(.scatter_add, &operands, &.{}, false);
            const state = try team.run(kernels[0], &ins, @intCast(@min(round, 3)));
            try testing.expectEqual(0, state.failed);
            try testing.expectEqualSlices(f32, want, to);
        }
    }
}

test "indices out of range are left out and the first is reported" {
    var base: [40]f32 = @splat(1);
    var updates: [100]f32 = @splat(1);
    var ids: [50]i32 = @splat(3);
    ids[20] = -4;
    ids[30] = 20;
    const operands = [_]abi.Operand{
        team.contiguous(@as([]f32, &base), .f32, &.{ 20, 2 }),
        team.contiguous(@as([]i32, &ids), .i32, &.{50}),
        team.contiguous(@as([]f32, &updates), .f32, &.{ 50, 2 }),
        team.output(team.contiguous(@as([]f32, &base), .f32, &.{ 20, 2 })),
    };
    const ins = team.instruction(.scatter_add, &operands, &.{}, false);
    const state = try team.run(kernels[0], &ins, 3);
    try testing.expectEqual(@intFromEnum(abi.Status.index_out_of_range), state.failed);
    try testing.expectEqual(20, state.failed_position);
    try testing.expectEqual(-4, state.failed_value);
    for (base, 0..) |x, i| try testing.expectEqual(@as(f32, if (i / 2 == 3) 49 else 1), x);
}

test "check" {
    var data: [64]f32 = @splat(0);
    const base = team.contiguous(@as([]f32, &data), .f32, &.{ 4, 4 });
    const ids = team.contiguous(@as([]f32, &data), .u32, &.{3});
    const updates = team.contiguous(@as([]f32, &data), .f32, &.{ 3, 4 });
    const more = team.contiguous(@as([]f32, &data), .f32, &.{ 4, 4 });
    const Operands = [4]abi.Operand;
    const fine = Operands{ base, ids, updates, team.output(base) };
    const good = team.instruction(.scatter_add, &fine, &.{}, false);
    try testing.expectEqual(null, team.check(kernels[0], &good));
    for ([_]Operands{
        .{ base, ids, more, team.output(base) },
        .{ base, ids, updates, base },
        .{ base, ids, updates, team.output(updates) },
        .{ base, updates, updates, team.output(base) },
    }) |bad| {
        const ins = team.instruction(.scatter_add, &bad, &.{}, false);
        try testing.expect(team.check(kernels[0], &ins) != null);
    }
}
