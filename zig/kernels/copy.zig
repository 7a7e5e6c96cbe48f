//! `copy`: strided to strided, elements as they are. No workspace and no scratch.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const strided = @import("../cpu/strided.zig");
const Move = @import("../cpu/move.zig").Move;

const Instruction = kernel.Instruction;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .copy, .run = run, .check = check },
};

fn check(ins: *const Instruction) callconv(.c) ?[*:0]const u8 {
    if (ins.operand_count != 2 or ins.has_workspace != 0) return "copy: needs two operands";
    const from = ins.operand(0);
    const to = ins.operand(1);
    if (to.output == 0) return "copy: the result is not writable";
    if (!kernel.same_dims(from, to)) return "copy: dims differ";
    if (from.dtype != to.dtype) return "copy: dtypes differ";
    if (strided.checked_count(to) == null) return "copy: too many elements";
    return null;
}

fn run(t: *kernel.Thread, ins: *const Instruction) callconv(.c) void {
    const from = ins.operand(0);
    const to = ins.operand(1);
    if (strided.checked_count(to).? == 0) return;
    const rank = to.rank;
    const dims = to.dims[0..rank];
    const strides = from.strides[0..rank];
    const move = Move.init(dims, to.data, to.strides[0..rank], from.data, strides);
    move.run(t, abi.dtype_bytes(to.dtype));
}

const testing = std.testing;
const team = @import("../cpu/test_team.zig");
const element_offset = @import("map_test.zig").element_offset;

fn fill(comptime T: type, values: []T) void {
    for (values, 0..) |*v, i| v.* = @truncate(i *% 2654435761 >> 7);
}

/// Strides of `dims` when memory order is `order` (outermost first), with `gap` elements after each innermost run.
fn strides_for(dims: []const u32, order: []const u8, gap: u64) [abi.rank_max]u64 {
    var strides: [abi.rank_max]u64 = @splat(0);
    var step: u64 = 1;
    var i = order.len;
    while (i > 0) {
        i -= 1;
        strides[order[i]] = step;
        step *= dims[order[i]];
        if (i + 1 == order.len) step += gap;
    }
    return strides;
}

fn copy_case(
    comptime T: type,
    dtype: abi.Dtype,
    dims: []const u32,
    order: []const u8,
    gap: u64,
) !void {
    const room = 1 << 18;
    const buffers = try testing.allocator.alloc(T, 3 * room);
    defer testing.allocator.free(buffers);
    const identity = [_]u8{ 0, 1, 2, 3, 4, 5, 6, 7 };
    // Permuted source to plain target, and the other way round.
    for ([_]bool{ false, true }) |reverse| for (1..4) |threads| {
        fill(T, buffers[0..room]);
        @memset(buffers[room..], 0x5a);
        const a = strides_for(dims, order, gap);
        const b = strides_for(dims, identity[0..dims.len], if (reverse) 0 else gap);
        const source = buffers[0..room];
        const from = team.strided(source, dtype, dims, (if (reverse) b else a)[0..dims.len]);
        const to = team.output(
            team.strided(buffers[room..], dtype, dims, (if (reverse) a else b)[0..dims.len]),
        );
        // What the target must be, gaps included.
        const want = buffers[2 * room ..];
        for (0..to.count()) |flat|
            want[element_offset(&to, flat)] = source[element_offset(&from, flat)];
        const ins = team.instruction(.copy, &.{ from, to }, &.{}, false);
        _ = try team.run(kernels[0], &ins, @intCast(threads));
        try testing.expectEqualSlices(T, want, buffers[room..][0..room]);
    };
}

test "permutations, gaps and element sizes" {
    const Case = struct { dims: []const u32, order: []const u8 };
    const cases = [_]Case{
        .{ .dims = &.{}, .order = &.{} },
        .{ .dims = &.{5}, .order = &.{0} },
        .{ .dims = &.{100000}, .order = &.{0} },
        .{ .dims = &.{ 3, 0 }, .order = &.{ 1, 0 } },
        .{ .dims = &.{ 130, 70 }, .order = &.{ 1, 0 } },
        .{ .dims = &.{ 64, 256 }, .order = &.{ 1, 0 } },
        .{ .dims = &.{ 200, 5 }, .order = &.{ 1, 0 } },
        .{ .dims = &.{ 2, 50, 6, 64 }, .order = &.{ 0, 2, 1, 3 } },
        .{ .dims = &.{ 3, 4, 50, 40 }, .order = &.{ 0, 1, 3, 2 } },
        .{ .dims = &.{ 33, 5, 47 }, .order = &.{ 2, 1, 0 } },
        .{ .dims = &.{ 20, 30, 17 }, .order = &.{ 1, 2, 0 } },
        .{ .dims = &.{ 4, 1, 3, 2, 5, 2, 3, 6 }, .order = &.{ 7, 3, 5, 0, 1, 2, 4, 6 } },
    };
    for (cases) |case| for ([_]u64{ 0, 3 }) |gap| {
        try copy_case(u32, .f32, case.dims, case.order, gap);
        try copy_case(u16, .bf16, case.dims, case.order, gap);
        try copy_case(u8, .bool, case.dims, case.order, gap);
    };
}

test "broadcast source" {
    var x: [40]u32 = undefined;
    fill(u32, &x);
    var y: [30 * 40]u32 = undefined;
    const cases = [_][2]u64{ .{ 0, 1 }, .{ 1, 0 }, .{ 0, 0 } };
    for (cases) |strides| {
        const from = team.strided(@as([]u32, &x), .u32, &.{ 30, 40 }, &strides);
        const to = team.output(team.contiguous(@as([]u32, &y), .u32, &.{ 30, 40 }));
        const ins = team.instruction(.copy, &.{ from, to }, &.{}, false);
        _ = try team.run(kernels[0], &ins, 2);
        for (y, 0..) |value, i|
            try testing.expectEqual(x[i / 40 * strides[0] + i % 40 * strides[1]], value);
    }
}

test "check" {
    var x: [8]u32 = @splat(0);
    const a = team.contiguous(@as([]u32, &x), .u32, &.{8});
    const b = team.contiguous(@as([]u32, &x), .u32, &.{7});
    const c = team.contiguous(@as([]u32, &x), .f32, &.{8});
    const good = team.instruction(.copy, &.{ a, team.output(a) }, &.{}, false);
    try testing.expectEqual(null, team.check(kernels[0], &good));
    const bad = [_][2]abi.Operand{ .{ a, a }, .{ a, team.output(b) }, .{ a, team.output(c) } };
    for (bad) |operands| {
        const ins = team.instruction(.copy, &operands, &.{}, false);
        try testing.expect(team.check(kernels[0], &ins) != null);
    }
}
