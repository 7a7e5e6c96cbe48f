//! `dynamic_update`: the input with a window replaced, in place when result and input are the same memory. A start out
//! of range fails the program and the result is left untouched. No workspace and no scratch.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const expect = @import("../cpu/expect.zig");
const window = @import("../cpu/window.zig");
const Move = @import("../cpu/move.zig").Move;

const Instruction = kernel.Instruction;
const Operand = kernel.Operand;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .dynamic_update, .run = run, .check = check },
};

fn check(ins: *const Instruction) callconv(.c) ?[*:0]const u8 {
    if (!expect.operands(ins, 4, 0)) return "dynamic_update: needs four operands and no words";
    const in = ins.operand(0);
    const out = ins.operand(3);
    if (!expect.dense_output(out) or out.dtype != in.dtype or !kernel.same_dims(in, out))
        return "dynamic_update: the result is not like the input";
    return window.problem(in, ins.operand(1), ins.operand(2));
}

fn run(t: *kernel.Thread, ins: *const Instruction) callconv(.c) void {
    const in = ins.operand(0);
    const update = ins.operand(1);
    const out = ins.operand(3);
    const bytes = abi.dtype_bytes(out.dtype);
    const at = window.offset(t, ins, in, update, ins.operand(2));
    if (at != null and in.data != out.data and out.count() > 0) {
        const strides = in.strides[0..in.rank];
        Move.init(in.dims[0..in.rank], out.data, strides, in.data, strides).run(t, bytes);
    }
    t.barrier();
    if (at == null or update.count() == 0) return;
    const rank = update.rank;
    const to = out.data + at.? * bytes;
    const strides = update.strides[0..rank];
    Move.init(update.dims[0..rank], to, out.strides[0..rank], update.data, strides).run(t, bytes);
}

const testing = std.testing;
const team = @import("../cpu/test_team.zig");

test "in place and into fresh memory" {
    var in: [5 * 6 * 64]f32 = undefined;
    var out: [5 * 6 * 64]f32 = undefined;
    var update: [2 * 3 * 64]f32 = undefined;
    for (&update, 0..) |*x, i| x.* = -@as(f32, @floatFromInt(i + 1));
    var starts = [_]u32{ 1, 3, 0 };
    const index = team.contiguous(@as([]u32, &starts), .u32, &.{3});
    const part = team.contiguous(@as([]f32, &update), .f32, &.{ 2, 3, 64 });
    for (0..6) |round| {
        for (&in, 0..) |*x, i| x.* = @floatFromInt(i);
        @memset(&out, 0);
        const to: []f32 = if (round % 2 == 0) &in else &out;
        const operands = [_]Operand{
            team.contiguous(@as([]f32, &in), .f32, &.{ 5, 6, 64 }), part, index,
            team.output(team.contiguous(to, .f32, &.{ 5, 6, 64 })),
        };
        const ins = team.instruction(.dynamic_update, &operands, &.{}, false);
        const state = try team.run(kernels[0], &ins, @intCast(1 + round / 2));
        try testing.expectEqual(0, state.failed);
        for (to, 0..) |x, i| {
            const z = i / 64 / 6;
            const y = i / 64 % 6;
            const inside = z >= 1 and z < 3 and y >= 3;
            const old: f32 = @floatFromInt(i);
            const want = if (inside) update[((z - 1) * 3 + y - 3) * 64 + i % 64] else old;
            try testing.expectEqual(want, x);
        }
    }
}

test "a start out of range fails and writes nothing" {
    var in: [20]u32 = @splat(1);
    var out: [20]u32 = @splat(9);
    var update: [2]u32 = @splat(5);
    var starts = [_]u32{0xffffffff};
    const operands = [_]Operand{
        team.contiguous(@as([]u32, &in), .u32, &.{20}),
        team.contiguous(@as([]u32, &update), .u32, &.{2}),
        team.contiguous(@as([]u32, &starts), .u32, &.{1}),
        team.output(team.contiguous(@as([]u32, &out), .u32, &.{20})),
    };
    const ins = team.instruction(.dynamic_update, &operands, &.{}, false);
    const state = try team.run(kernels[0], &ins, 3);
    try testing.expectEqual(0xffffffff, state.failed_value);
    for (out) |x| try testing.expectEqual(9, x);
    starts[0] = 18;
    try testing.expectEqual(0, (try team.run(kernels[0], &ins, 3)).failed);
    try testing.expectEqualSlices(u32, &.{ 1, 5, 5 }, out[17..]);
}
