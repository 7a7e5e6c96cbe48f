//! `cumsum`: running sums along one dim, in order (f32 in f64, integers wrap). No workspace and no scratch.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const expect = @import("../cpu/expect.zig");
const strided = @import("../cpu/strided.zig");

const Instruction = kernel.Instruction;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .cumsum, .run = run, .check = check },
};

/// Columns (elements after the dim) that run side by side.
const columns_max = 64;

fn check(ins: *const Instruction) callconv(.c) ?[*:0]const u8 {
    if (!expect.operands(ins, 2, 3)) return "cumsum: needs two operands and three words";
    const in = ins.operand(0);
    const out = ins.operand(1);
    if (in.dtype == .bf16 or in.dtype == .bool) return "cumsum: needs f32, i32 or u32";
    if (in.dtype != out.dtype or !kernel.same_dims(in, out)) return "cumsum: operands differ";
    if (!strided.is_dense(in) or !expect.dense_output(out)) return "cumsum: not contiguous";
    if (ins.word(0) >= in.rank) return "cumsum: the dim is beyond the rank";
    if (ins.word(1) > 1 or ins.word(2) > 1) return "cumsum: a flag is not 0 or 1";
    return null;
}

fn run(t: *kernel.Thread, ins: *const Instruction) callconv(.c) void {
    if (ins.operand(0).count() == 0) return;
    switch (ins.operand(0).dtype) {
        .f32 => run_typed(f32, f64, t, ins),
        else => run_typed(u32, u32, t, ins),
    }
}

fn run_typed(
    comptime T: type,
    comptime Sum: type,
    t: *kernel.Thread,
    ins: *const Instruction,
) void {
    const in = ins.operand(0);
    const d = ins.word(0);
    const n: u64 = in.dims[d];
    var inner: u64 = 1;
    for (in.dims[d + 1 .. in.rank]) |size| inner *= size;
    const outer = in.count() / n / inner;
    const pieces = (inner + columns_max - 1) / columns_max;
    const together = @max(1, 16384 / (n * @min(inner, columns_max)));
    const units = outer * pieces;
    const tiles = strided.tile_count(units, together);
    while (t.claim(tiles)) |tile| {
        for (tile * together..@min(units, (tile + 1) * together)) |unit| {
            const column = unit % pieces * columns_max;
            const at = unit / pieces * n * inner + column;
            const line: Line(T, Sum) = .{
                .from = in.ptr(T) + at,
                .to = ins.operand(1).ptr(T) + at,
                .n = n,
                .step = inner,
                .width = @min(columns_max, inner - column),
            };
            line.run(ins.word(1) == 1, ins.word(2) == 1);
        }
    }
}

fn Line(comptime T: type, comptime Sum: type) type {
    return struct {
        from: [*]const T,
        to: [*]T,
        n: u64,
        step: u64,
        width: u64,

        fn run(line: @This(), exclusive: bool, reverse: bool) void {
            var sums: [columns_max]Sum = @splat(0);
            for (0..line.n) |k| {
                const at = (if (reverse) line.n - 1 - k else k) * line.step;
                for (sums[0..line.width], 0..) |*sum, j| {
                    const before = sum.*;
                    const value: Sum = line.from[at + j];
                    sum.* = if (Sum == u32) before +% value else before + value;
                    const result = if (exclusive) before else sum.*;
                    line.to[at + j] = if (Sum == u32) result else @floatCast(result);
                }
            }
        }
    };
}

const testing = std.testing;
const team = @import("../cpu/test_team.zig");

fn cumsum_case(dims: []const u32, d: u32, exclusive: bool, reverse: bool) !void {
    var n: u64 = 1;
    for (dims) |size| n *= size;
    const data = try testing.allocator.alloc(f32, 2 * n);
    defer testing.allocator.free(data);
    const integers: []u32 = @ptrCast(data);
    var inner: u64 = 1;
    for (dims[d + 1 ..]) |size| inner *= size;
    const x = team.contiguous(data[0..n], .f32, dims);
    const y = team.output(team.contiguous(data[n..], .f32, dims));
    const words = [_]u32{ d, @intFromBool(exclusive), @intFromBool(reverse) };
    for ([_]abi.Dtype{ .f32, .i32 }) |dtype| for (1..4) |threads| {
        for (0..n) |i| {
            const value: i32 = @intCast(@as(i64, @intCast(i * 7919 % 201)) - 100);
            integers[i] = @bitCast(value);
            if (dtype == .f32) data[i] = @as(f32, @floatFromInt(value)) * 0.37;
        }
        var operands = [_]abi.Operand{ x, y };
        for (&operands) |*o| o.dtype = dtype;
        const ins = team.instruction(.cumsum, &operands, &words, false);
        _ = try team.run(kernels[0], &ins, @intCast(threads));
        for (0..n) |i| {
            const k = i / inner % dims[d];
            const base = i - k * inner;
            var sum: f64 = 0;
            const from = if (!reverse) 0 else if (exclusive) k + 1 else k;
            const to = if (reverse) dims[d] else if (exclusive) k else k + 1;
            for (from..to) |j| sum += if (dtype == .f32)
                data[base + j * inner]
            else
                @floatFromInt(@as(i32, @bitCast(integers[base + j * inner])));
            if (dtype == .f32) {
                try testing.expectApproxEqAbs(sum, data[n + i], 1e-5 * (1 + @abs(sum)));
            } else {
                const got: i32 = @bitCast(integers[n + i]);
                try testing.expectEqual(sum, @as(f64, @floatFromInt(got)));
            }
        }
    };
}

test "each dim, exclusive and reverse" {
    for ([_]bool{ false, true }) |exclusive| for ([_]bool{ false, true }) |reverse| {
        try cumsum_case(&.{301}, 0, exclusive, reverse);
        for (0..3) |d| try cumsum_case(&.{ 5, 13, 70 }, @intCast(d), exclusive, reverse);
    };
    try cumsum_case(&.{ 3, 0 }, 1, false, false);
}
