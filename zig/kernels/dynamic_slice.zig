//! `dynamic_slice`: a window whose start is data. A start out of range fails the program and nothing is written. No
//! workspace and no scratch.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const expect = @import("../cpu/expect.zig");
const window = @import("../cpu/window.zig");
const Move = @import("../cpu/move.zig").Move;

const Instruction = kernel.Instruction;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .dynamic_slice, .run = run, .check = check },
};

fn check(ins: *const Instruction) callconv(.c) ?[*:0]const u8 {
    if (!expect.operands(ins, 3, 0)) return "dynamic_slice: needs three operands and no words";
    if (ins.operand(2).output == 0) return "dynamic_slice: the result is not writable";
    return window.problem(ins.operand(0), ins.operand(2), ins.operand(1));
}

fn run(t: *kernel.Thread, ins: *const Instruction) callconv(.c) void {
    const in = ins.operand(0);
    const out = ins.operand(2);
    const at = window.offset(t, ins, in, out, ins.operand(1)) orelse return;
    if (out.count() == 0) return;
    const bytes = abi.dtype_bytes(out.dtype);
    const dims = out.dims[0..out.rank];
    const from = in.data + at * bytes;
    const move = Move.init(dims, out.data, out.strides[0..out.rank], from, in.strides[0..out.rank]);
    move.run(t, bytes);
}

const testing = std.testing;
const team = @import("../cpu/test_team.zig");

test "windows of every size and place, in each dim" {
    var in: [6 * 7 * 40]u32 = undefined;
    for (&in, 0..) |*x, i| x.* = @intCast(i);
    var out: [6 * 7 * 40]u32 = undefined;
    const whole = team.contiguous(@as([]u32, &in), .u32, &.{ 6, 7, 40 });
    for ([_][3]u32{ .{ 2, 3, 17 }, .{ 1, 7, 40 }, .{ 6, 1, 1 }, .{ 6, 7, 40 } }) |sizes| {
        const part = team.output(team.contiguous(@as([]u32, &out), .u32, &sizes));
        for (0..3) |shift| {
            var starts: [3]i32 = undefined;
            for (&starts, sizes, whole.dims[0..3]) |*s, size, dim|
                s.* = @intCast((dim - size) * shift / 2);
            const index = team.contiguous(@as([]i32, &starts), .i32, &.{3});
            const ins = team.instruction(.dynamic_slice, &.{ whole, index, part }, &.{}, false);
            const state = try team.run(kernels[0], &ins, 2);
            try testing.expectEqual(0, state.failed);
            for (0..part.count()) |i| {
                const z = i / sizes[2] / sizes[1] + @as(usize, @intCast(starts[0]));
                const y = i / sizes[2] % sizes[1] + @as(usize, @intCast(starts[1]));
                const x = i % sizes[2] + @as(usize, @intCast(starts[2]));
                try testing.expectEqual((z * 7 + y) * 40 + x, out[i]);
            }
        }
    }
}

test "a start out of range fails and writes nothing" {
    var in: [20]u16 = @splat(1);
    var out: [6]u16 = @splat(9);
    const whole = team.contiguous(@as([]u16, &in), .bf16, &.{ 4, 5 });
    const part = team.output(team.contiguous(@as([]u16, &out), .bf16, &.{ 2, 3 }));
    for ([_][2]i32{ .{ 3, 0 }, .{ 0, 3 }, .{ -1, 0 }, .{ 0, std.math.maxInt(i32) } }) |bad| {
        var starts = bad;
        const index = team.contiguous(@as([]i32, &starts), .i32, &.{2});
        const ins = team.instruction(.dynamic_slice, &.{ whole, index, part }, &.{}, false);
        const state = try team.run(kernels[0], &ins, 2);
        try testing.expectEqual(@intFromEnum(abi.Status.index_out_of_range), state.failed);
        for (out) |x| try testing.expectEqual(9, x);
    }
    var starts = [_]i32{ 0, 0, 0 };
    const index = team.contiguous(@as([]i32, &starts), .i32, &.{3});
    const ins = team.instruction(.dynamic_slice, &.{ whole, index, part }, &.{}, false);
    try testing.expect(team.check(kernels[0], &ins) != null);
}
