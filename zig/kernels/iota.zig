//! `iota`: each element is its index along one dim. No workspace and no scratch.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const expect = @import("../cpu/expect.zig");
const strided = @import("../cpu/strided.zig");

const Instruction = kernel.Instruction;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .iota, .run = run, .check = check },
};

const tile_elements = 16384;

fn check(ins: *const Instruction) callconv(.c) ?[*:0]const u8 {
    if (!expect.operands(ins, 1, 1)) return "iota: needs one operand and one word";
    const out = ins.operand(0);
    if (!expect.dense_output(out)) return "iota: the result is not contiguous";
    if (ins.word(0) >= out.rank) return "iota: the dim is beyond the rank";
    if (out.dtype == .bf16 or out.dtype == .bool) return "iota: needs i32, u32 or f32";
    return null;
}

fn run(t: *kernel.Thread, ins: *const Instruction) callconv(.c) void {
    const out = ins.operand(0);
    const n = out.count();
    if (n == 0) return;
    const d = ins.word(0);
    const size: u64 = out.dims[d];
    var inner: u64 = 1;
    for (out.dims[d + 1 .. out.rank]) |other| inner *= other;
    const tiles = strided.tile_count(n, tile_elements);
    while (t.claim(tiles)) |tile| {
        var at = @as(u64, tile) * tile_elements;
        const end = @min(n, at + tile_elements);
        while (at < end) {
            const row = at / inner;
            const row_end = @min(end, (row + 1) * inner);
            const value: u32 = @intCast(row % size);
            const float: f32 = @floatFromInt(value);
            const bits: u32 = if (out.dtype == .f32) @bitCast(float) else value;
            @memset(out.ptr(u32)[at..row_end], bits);
            at = row_end;
        }
    }
}

const testing = std.testing;
const team = @import("../cpu/test_team.zig");

test "along each dim" {
    var data: [7 * 90 * 80]f32 = undefined;
    const out = team.output(team.contiguous(@as([]f32, &data), .f32, &.{ 7, 90, 80 }));
    var whole = out;
    whole.dtype = .i32;
    for ([_]u32{ 0, 1, 2 }, [_]u32{ 7200, 80, 1 }, [_]u32{ 7, 90, 80 }) |d, inner, size| {
        const ins = team.instruction(.iota, &.{out}, &.{d}, false);
        _ = try team.run(kernels[0], &ins, 2);
        for (data, 0..) |x, i|
            try testing.expectEqual(@as(f32, @floatFromInt(i / inner % size)), x);
        const integers = team.instruction(.iota, &.{whole}, &.{d}, false);
        _ = try team.run(kernels[0], &integers, 3);
        for (data, 0..) |x, i| try testing.expectEqual(i / inner % size, @as(u32, @bitCast(x)));
    }
    const beyond = team.instruction(.iota, &.{out}, &.{3}, false);
    try testing.expect(team.check(kernels[0], &beyond) != null);
}
