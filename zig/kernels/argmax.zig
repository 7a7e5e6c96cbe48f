//! `argmax`: index of the largest element of each row; the lowest index wins, NaN counts as the largest, as in
//! PyTorch. No workspace and no scratch.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const expect = @import("../cpu/expect.zig");
const simd = @import("../cpu/simd.zig");
const strided = @import("../cpu/strided.zig");

const Instruction = kernel.Instruction;
const lanes = simd.lanes;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .argmax, .run = run, .check = check },
};

fn check(ins: *const Instruction) callconv(.c) ?[*:0]const u8 {
    if (!expect.operands(ins, 2, 0)) return "argmax: needs two operands and no words";
    const in = ins.operand(0);
    const out = ins.operand(1);
    if (!expect.dense_float(in) or in.rank == 0) return "argmax: needs contiguous f32 or bf16";
    if (in.dims[in.rank - 1] == 0) return "argmax: nothing to choose from";
    if (!expect.dense_output(out) or out.dtype != .i32)
        return "argmax: the result is not contiguous i32";
    if (out.rank + 1 != in.rank or !std.mem.eql(u32, out.dims[0..out.rank], in.dims[0..out.rank]))
        return "argmax: wrong result dims";
    return null;
}

fn run(t: *kernel.Thread, ins: *const Instruction) callconv(.c) void {
    switch (ins.operand(0).dtype) {
        .f32 => run_typed(f32, t, ins),
        else => run_typed(u16, t, ins),
    }
}

fn run_typed(comptime T: type, t: *kernel.Thread, ins: *const Instruction) void {
    const in = ins.operand(0);
    const rows = ins.operand(1).count();
    const n = in.dim_last(0);
    const together = @max(1, 16384 / n);
    const tiles = strided.tile_count(rows, together);
    while (t.claim(tiles)) |tile| {
        for (tile * together..@min(rows, (tile + 1) * together)) |row|
            ins.operand(1).ptr(u32)[row] = largest(T, in.ptr(T) + row * n, n);
    }
}

/// An order of floats as integers in which NaN is above everything and -0 equals 0.
inline fn rank(x: simd.F) simd.I {
    const zero: simd.F = @splat(0);
    const bits: simd.I = @bitCast(@select(f32, x == zero, zero, x));
    const sign: @Vector(lanes, u5) = @splat(31);
    const magnitude: simd.I = @splat(0x7fffffff);
    const ordered = bits ^ ((bits >> sign) & magnitude);
    return @select(i32, x != x, magnitude, ordered);
}

fn largest(comptime T: type, row: [*]const T, n: u64) u32 {
    var best: simd.I = @splat(std.math.minInt(i32));
    var best_at: simd.U = @splat(std.math.maxInt(u32));
    var i: u64 = 0;
    while (i < n) : (i += lanes) {
        const at = @as(simd.U, @splat(@intCast(i))) +% std.simd.iota(u32, lanes);
        const key = if (i + lanes <= n) rank(simd.load(T, row + i)) else last: {
            var part: [lanes]f32 = @splat(-std.math.inf(f32));
            for (i..n) |e| part[e - i] = simd.load_one(T, row, e);
            break :last rank(part);
        };
        const better = key > best;
        best_at = @select(u32, better, at, best_at);
        best = @select(i32, better, key, best);
    }
    const top: simd.I = @splat(@reduce(.Max, best));
    const none: simd.U = @splat(std.math.maxInt(u32));
    return @reduce(.Min, @select(u32, best == top, best_at, none));
}

const testing = std.testing;
const team = @import("../cpu/test_team.zig");

fn argmax_row(values: []f32) !u32 {
    var out: [1]u32 = undefined;
    const in = team.contiguous(values, .f32, &.{ 1, @intCast(values.len) });
    const result = team.output(team.contiguous(@as([]u32, &out), .i32, &.{1}));
    const ins = team.instruction(.argmax, &.{ in, result }, &.{}, false);
    _ = try team.run(kernels[0], &ins, 1);
    return out[0];
}

test "rows of many lengths, in f32 and bf16" {
    var prng = std.Random.DefaultPrng.init(3);
    const random = prng.random();
    const rows = 20;
    for ([_]u32{ 1, 2, 7, 16, 17, 100, 1003 }) |n| {
        const x = try testing.allocator.alloc(f32, rows * n);
        defer testing.allocator.free(x);
        const halves = try testing.allocator.alloc(u16, rows * n);
        defer testing.allocator.free(halves);
        for (x, halves) |*a, *h| {
            // Few values, so that many are equal.
            a.* = @floatFromInt(random.intRangeAtMost(i32, -40, @as(i32, if (n < 20) 3 else 40)));
            h.* = simd.bf16_from_f32(a.*);
        }
        var out: [rows]i32 = undefined;
        const y = team.output(team.contiguous(@as([]i32, &out), .i32, &.{ 4, 5 }));
        const inputs = [_]abi.Operand{
            team.contiguous(x, .f32, &.{ 4, 5, n }), team.contiguous(halves, .bf16, &.{ 4, 5, n }),
        };
        for (inputs, 1..) |in, threads| {
            const ins = team.instruction(.argmax, &.{ in, y }, &.{}, false);
            _ = try team.run(kernels[0], &ins, @intCast(threads));
            for (out, 0..) |got, row| {
                const values = x[row * n ..][0..n];
                const want = std.mem.findScalar(f32, values, std.mem.max(f32, values));
                try testing.expectEqual(@as(i32, @intCast(want.?)), got);
            }
        }
    }
}

test "infinities, zeros and NaN" {
    const inf = std.math.inf(f32);
    const nan = std.math.nan(f32);
    var lowest: [40]f32 = @splat(-inf);
    try testing.expectEqual(0, try argmax_row(&lowest));
    lowest[20] = -3e38;
    try testing.expectEqual(20, try argmax_row(&lowest));
    var zeros = [_]f32{ -1, -0.0, 0.0 };
    try testing.expectEqual(1, try argmax_row(&zeros));
    var bad = [_]f32{ 1, inf, nan, 2, -nan };
    try testing.expectEqual(2, try argmax_row(&bad));
}
