//! Rotary positions against f64, for strided heads, partial rotation, both dtypes and positions up to 2^32.
const std = @import("std");
const abi = @import("../abi.zig");
const simd = @import("../cpu/simd.zig");
const team = @import("../cpu/test_team.zig");
const rope = @import("../kernels/rope.zig").kernels[0];

const batches = 2;
const steps = 37;
const heads = 3;
/// Elements after the last head of a row that belong to somebody else.
const gap = 5;

const Case = struct {
    head_dim: u32,
    rotary: u32,
    theta: f32,
    inverse: bool = false,
    scaled: bool = false,
    dtype: abi.Dtype = .f32,
};

fn get(bytes: []const u8, dtype: abi.Dtype, i: usize) f64 {
    if (dtype == .f32)
        return @as(f32, @bitCast(std.mem.readInt(u32, bytes[i * 4 ..][0..4], .little)));
    return simd.f32_from_bf16(std.mem.readInt(u16, bytes[i * 2 ..][0..2], .little));
}

fn set(bytes: []u8, dtype: abi.Dtype, i: usize, x: f32) void {
    if (dtype == .f32) {
        std.mem.writeInt(u32, bytes[i * 4 ..][0..4], @bitCast(x), .little);
    } else std.mem.writeInt(u16, bytes[i * 2 ..][0..2], simd.bf16_from_f32(x), .little);
}

const magnitude = 1.25;

/// On the frequency of a pair, where a case is scaled.
fn factor_of(pair: usize) f64 {
    return 1.0 / (1.0 + 0.3 * @as(f64, @floatFromInt(pair)));
}

/// Element d after rotation of the row that starts at `at`.
fn exact(c: Case, x: []const u8, at: usize, d: usize, position: f64) f64 {
    if (d >= c.rotary) return get(x, c.dtype, at + d);
    const half = c.rotary / 2;
    const pair: f64 = @floatFromInt(d % half);
    const plain = std.math.pow(f64, c.theta, -2.0 * pair / @as(f64, @floatFromInt(c.rotary)));
    const angle = position * (plain * if (c.scaled) factor_of(d % half) else 1);
    const length: f64 = if (c.scaled) magnitude else 1;
    const sine = length * if (c.inverse) -@sin(angle) else @sin(angle);
    const cosine = length * @cos(angle);
    const low = get(x, c.dtype, at + d % half);
    const high = get(x, c.dtype, at + d % half + half);
    return if (d < half) low * cosine - high * sine else high * cosine + low * sine;
}

fn run_case(c: Case, rng: std.Random) !void {
    const allocator = team.allocator;
    const row = heads * c.head_dim + gap;
    const bytes = batches * steps * row * abi.dtype_bytes(c.dtype);
    const x = try allocator.alloc(u8, bytes);
    defer allocator.free(x);
    for (0..batches * steps * row) |i| set(x, c.dtype, i, rng.floatNorm(f32));
    var positions: [batches * steps]u32 = undefined;
    for (&positions, 0..) |*p, i| p.* = switch (i % 4) {
        0 => @intCast(i),
        1 => 1_000_000 + rng.uintLessThan(u32, 100),
        2 => 0xffffffff,
        else => 7,
    };
    const dims = [_]u32{ batches, steps, heads, c.head_dim };
    const strides = [_]u64{ steps * row, row, c.head_dim, 1 };
    var room: [4 + 128]u32 = undefined;
    room[0..4].* = .{ team.word(c.theta), @intFromBool(c.inverse), c.rotary, team.word(magnitude) };
    for (0..c.rotary / 2) |i| {
        const bits: u64 = @bitCast(factor_of(i));
        room[4 + 2 * i ..][0..2].* = .{ @truncate(bits), @intCast(bits >> 32) };
    }
    const words = if (c.scaled) room[0 .. 4 + c.rotary] else room[0..3];
    var first: ?[]u8 = null;
    for ([_]u32{ 1, 2, 3 }) |threads| {
        // In place, on a copy.
        const y = try allocator.dupe(u8, x);
        const operands = [_]abi.Operand{
            team.strided(y, c.dtype, &dims, &strides),
            team.contiguous(@as([]u32, &positions), .u32, &.{ batches, steps }),
            team.output(team.strided(y, c.dtype, &dims, &strides)),
        };
        _ = try team.run(rope, &team.instruction(.rope, &operands, words, false), threads);
        if (first) |kept| try std.testing.expectEqualSlices(u8, kept, y) else first = y;
        if (threads > 1) allocator.free(y);
    }
    const y = first.?;
    defer allocator.free(y);
    for (0..batches * steps) |token| {
        const at = token * row;
        for (0..heads) |h| for (0..c.head_dim) |d| {
            const want = exact(c, x, at + h * c.head_dim, d, @floatFromInt(positions[token]));
            const limit: f64 = if (c.dtype == .bf16) 0.02 else 1e-6;
            try std.testing.expectApproxEqAbs(
                want,
                get(y, c.dtype, at + h * c.head_dim + d),
                limit,
            );
        };
        for (heads * c.head_dim..row) |d|
            try std.testing.expectEqual(get(x, c.dtype, at + d), get(y, c.dtype, at + d));
    }
}

test "rope against f64" {
    var prng = std.Random.DefaultPrng.init(21);
    const cases = [_]Case{
        .{ .head_dim = 64, .rotary = 64, .theta = 10000 },
        .{ .head_dim = 64, .rotary = 64, .theta = 10000, .inverse = true },
        .{ .head_dim = 20, .rotary = 12, .theta = 500 },
        .{ .head_dim = 2, .rotary = 2, .theta = 10000 },
        .{ .head_dim = 7, .rotary = 6, .theta = 10000 },
        .{ .head_dim = 20, .rotary = 12, .theta = 500, .scaled = true },
        .{ .head_dim = 64, .rotary = 64, .theta = 5e5, .scaled = true, .inverse = true },
        .{ .head_dim = 128, .rotary = 32, .theta = 1e6 },
        .{ .head_dim = 96, .rotary = 96, .theta = 1e6, .dtype = .bf16 },
    };
    for (cases) |c| try run_case(c, prng.random());
}

test "rope refuses what it cannot take" {
    var data: [64]f32 = @splat(0);
    const x = team.contiguous(@as([]f32, &data), .f32, &.{ 1, 2, 2, 16 });
    const positions = team.contiguous(@as([]f32, &data), .u32, &.{ 1, 2 });
    const good = [_]u32{ team.word(10000), 0, 16 };
    const bad = [_][3]u32{
        .{ team.word(0), 0, 16 },
        .{ team.word(std.math.nan(f32)), 0, 16 },
        .{ team.word(std.math.inf(f32)), 0, 16 },
        .{ good[0], 2, 16 },
        .{ good[0], 0, 18 },
        .{ good[0], 0, 15 },
        .{ good[0], 0, 0 },
    };
    const operands = [_]abi.Operand{ x, positions, team.output(x) };
    try std.testing.expectEqual(
        null,
        team.check(rope, &team.instruction(.rope, &operands, &good, false)),
    );
    for (bad) |words| {
        try std.testing.expect(
            team.check(rope, &team.instruction(.rope, &operands, &words, false)) != null,
        );
    }
    const scaled = [_]u32{ good[0], 0, 2, team.word(2), 0, 0x3ff00000 };
    try std.testing.expectEqual(
        null,
        team.check(rope, &team.instruction(.rope, &operands, &scaled, false)),
    );
    for ([_]usize{ 3, 5 }) |at| {
        var words = scaled;
        words[at] = 0;
        try std.testing.expect(
            team.check(rope, &team.instruction(.rope, &operands, &words, false)) != null,
        );
    }
    try std.testing.expect(
        team.check(rope, &team.instruction(.rope, &operands, scaled[0..5], false)) != null,
    );
    const not_written = [_]abi.Operand{ x, positions, x };
    try std.testing.expect(
        team.check(rope, &team.instruction(.rope, &not_written, &good, false)) != null,
    );
}
