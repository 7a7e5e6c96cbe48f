//! `fill`: one value everywhere. No workspace and no scratch.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const expect = @import("../cpu/expect.zig");
const strided = @import("../cpu/strided.zig");

const Instruction = kernel.Instruction;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .fill, .run = run, .check = check },
};

const tile_elements = 65536;

fn check(ins: *const Instruction) callconv(.c) ?[*:0]const u8 {
    if (!expect.operands(ins, 1, 1)) return "fill: needs one operand and one word";
    if (!expect.dense_output(ins.operand(0))) return "fill: the result is not contiguous";
    return null;
}

fn run(t: *kernel.Thread, ins: *const Instruction) callconv(.c) void {
    const out = ins.operand(0);
    const n = out.count();
    const tiles = strided.tile_count(n, tile_elements);
    while (t.claim(tiles)) |tile| {
        const from = @as(u64, tile) * tile_elements;
        const to = @min(n, from + tile_elements);
        switch (out.dtype) {
            .f32, .i32, .u32 => @memset(out.ptr(u32)[from..to], ins.word(0)),
            .bf16 => @memset(out.ptr(u16)[from..to], @truncate(ins.word(0))),
            .bool => @memset(out.data[from..to], @intFromBool(ins.word(0) != 0)),
        }
    }
}

const testing = std.testing;
const team = @import("../cpu/test_team.zig");

fn fill_case(comptime T: type, dtype: abi.Dtype, word: u32, want: T) !void {
    const n = 150001;
    const data = try testing.allocator.alloc(T, n + 1);
    defer testing.allocator.free(data);
    data[n] = 9;
    const out = team.output(team.contiguous(data, dtype, &.{n}));
    const ins = team.instruction(.fill, &.{out}, &.{word}, false);
    _ = try team.run(kernels[0], &ins, 2);
    for (data[0..n]) |x| try testing.expectEqual(want, x);
    try testing.expectEqual(9, data[n]);
}

test "every dtype" {
    try fill_case(f32, .f32, team.word(2.5), 2.5);
    try fill_case(u16, .bf16, 0x3f80, 0x3f80);
    try fill_case(i32, .i32, 0xffffffff, -1);
    try fill_case(u8, .bool, 1, 1);
}

test "check" {
    var data: [8]u32 = undefined;
    const out = team.output(team.strided(@as([]u32, &data), .u32, &.{4}, &.{2}));
    const gaps = team.instruction(.fill, &.{out}, &.{1}, false);
    try testing.expect(team.check(kernels[0], &gaps) != null);
    const whole = team.contiguous(@as([]u32, &data), .u32, &.{8});
    const read_only = team.instruction(.fill, &.{whole}, &.{1}, false);
    try testing.expect(team.check(kernels[0], &read_only) != null);
}
