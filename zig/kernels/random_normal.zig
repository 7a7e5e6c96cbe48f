//! `random_normal`: Box and Muller's method on the words of `random_bits` (step 0, sample 0). A block of four words gives two
//! radii and two angles, hence four numbers. The angle's quadrant is taken from the integer, so sine and cosine are
//! polynomials on [-pi/4, pi/4]. No workspace, no scratch.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const expect = @import("../cpu/expect.zig");
const math = @import("../cpu/math.zig");
const simd = @import("../cpu/simd.zig");
const strided = @import("../cpu/strided.zig");
const Counters = @import("random_bits.zig").Counters;

const Instruction = kernel.Instruction;
const lanes = simd.lanes;
const F = simd.F;
const I = simd.I;
const U = simd.U;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .random_normal, .run = run, .check = check },
};

/// A multiple of the elements of one vector of counters.
const tile_elements = 16384;

fn check(ins: *const Instruction) callconv(.c) ?[*:0]const u8 {
    if (!expect.operands(ins, 1, 3)) return "random_normal: needs one operand and three words";
    const out = ins.operand(0);
    if (!expect.dense_output(out) or out.dtype != .f32)
        return "random_normal: the result is not contiguous f32";
    return null;
}

fn run(t: *kernel.Thread, ins: *const Instruction) callconv(.c) void {
    const out = ins.operand(0);
    const n = out.count();
    const key = [2]u32{ ins.word(0), ins.word(1) };
    const tiles = strided.tile_count(n, tile_elements);
    while (t.claim(tiles)) |tile| {
        const from = @as(u64, tile) * tile_elements;
        const to = out.ptr(f32)[from..@min(n, from + tile_elements)];
        generate(to, from / 4, key, ins.float(2));
    }
}

/// `first` is a multiple of the lanes.
fn generate(to: []f32, first: u64, key: [2]u32, deviation: f32) void {
    std.debug.assert(first % lanes == 0);
    const zero: U = @splat(0);
    var at: u64 = 0;
    while (at < to.len) : (at += 4 * lanes) {
        const block = first + at / 4;
        const low = @as(U, @splat(@truncate(block))) +% std.simd.iota(u32, lanes);
        const upper: U = @splat(@truncate(block >> 32));
        const words = Counters(lanes).philox(.{ low, upper, zero, zero }, key);
        const a = pair(words[0], words[1], deviation);
        const b = pair(words[2], words[3], deviation);
        const even = std.simd.interlace(.{ a[0], b[0] });
        const odd = std.simd.interlace(.{ a[1], b[1] });
        const all: [4 * lanes]f32 = std.simd.interlace(.{ even, odd });
        const n = @min(to.len - at, 4 * lanes);
        if (n == 4 * lanes) to[at..][0 .. 4 * lanes].* = all else @memcpy(to[at..], all[0..n]);
    }
}

/// Two numbers each from words that give radius and angle.
inline fn pair(radius_word: U, angle_word: U, deviation: f32) [2]F {
    const half: F = @splat(0.5);
    const uniform = (@as(F, @floatFromInt(radius_word)) + half) * @as(F, @splat(0x1p-32));
    const squared = math.log(uniform) * @as(F, @splat(-2.0));
    const radius = @sqrt(@max(squared, @as(F, @splat(0.0)))) * @as(F, @splat(deviation));
    const turn = sine_cosine(angle_word);
    return .{ radius * turn[1], radius * turn[0] };
}

/// Sine and cosine of 2 pi (word + 1/2) / 2^32.
inline fn sine_cosine(word: U) [2]F {
    const top: @Vector(lanes, u5) = @splat(30);
    const quadrant = (word +% @as(U, @splat(1 << 29))) >> top;
    const rest: I = @bitCast(word -% (quadrant << top));
    const half: F = @splat(0.5);
    const x = (@as(F, @floatFromInt(rest)) + half) * @as(F, @splat(std.math.tau * 0x1p-32));
    const x2 = x * x;
    // Minimax on [-pi/4, pi/4] (Cephes).
    var s: F = @splat(-1.9515295891e-4);
    s = @mulAdd(F, s, x2, @splat(8.3321608736e-3));
    s = @mulAdd(F, s, x2, @splat(-1.6666654611e-1));
    s = @mulAdd(F, s * x2, x, x);
    var c: F = @splat(2.443315711809948e-5);
    c = @mulAdd(F, c, x2, @splat(-1.388731625493765e-3));
    c = @mulAdd(F, c, x2, @splat(4.166664568298827e-2));
    c = @mulAdd(F, c * x2, x2, @mulAdd(F, x2, @splat(-0.5), @splat(1.0)));
    // Quadrants 0..3: (s, c), (c, -s), (-s, -c), (-c, s).
    const one: U = @splat(1);
    const swap = (quadrant & one) == one;
    const sine = @select(f32, swap, c, s);
    const cosine = @select(f32, swap, s, c);
    return .{ signed(sine, quadrant), signed(cosine, quadrant +% one) };
}

/// `x` with its sign changed where bit 1 of `quadrant` is set.
inline fn signed(x: F, quadrant: U) F {
    const to_sign: @Vector(lanes, u5) = @splat(30);
    const bit = (quadrant & @as(U, @splat(2))) << to_sign;
    return @bitCast(@as(U, @bitCast(x)) ^ bit);
}

const testing = std.testing;
const team = @import("../cpu/test_team.zig");

test "sine and cosine in every quadrant" {
    const words = [_]u32{
        0,          1,          0x1fffffff, 0x20000000,
        0x7fffffff, 0x80000000, 0xc0000001, 0xffffffff,
    };
    for (words) |word| {
        const got = sine_cosine(@splat(word));
        const angle = std.math.tau * (@as(f64, @floatFromInt(word)) + 0.5) * 0x1p-32;
        try testing.expectApproxEqAbs(@sin(angle), @as(f64, got[0][0]), 2e-7);
        try testing.expectApproxEqAbs(@cos(angle), @as(f64, got[1][0]), 2e-7);
    }
}

test "moments, and no dependence on threads or length" {
    const n = 200003;
    const data = try testing.allocator.alloc(f32, 2 * n + 1);
    defer testing.allocator.free(data);
    const words = [_]u32{ 1, 2, team.word(0.5) };
    for ([_]u32{ 1, 2 }) |threads| {
        const half = threads - 1;
        const count = n - 3 * half;
        const out = team.output(team.contiguous(data[half * n ..][0..count], .f32, &.{count}));
        const ins = team.instruction(.random_normal, &.{out}, &words, false);
        _ = try team.run(kernels[0], &ins, threads);
    }
    try testing.expectEqualSlices(f32, data[0 .. n - 3], data[n..][0 .. n - 3]);
    var moments = [_]f64{ 0, 0, 0, 0 };
    for (data[0..n]) |x| {
        var power: f64 = 1;
        for (&moments) |*m| {
            power *= x / 0.5;
            m.* += power / n;
        }
    }
    try testing.expectApproxEqAbs(0, moments[0], 0.01);
    try testing.expectApproxEqAbs(1, moments[1], 0.02);
    try testing.expectApproxEqAbs(0, moments[2], 0.05);
    try testing.expectApproxEqAbs(3, moments[3], 0.15);
}
