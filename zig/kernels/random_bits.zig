//! `random_bits`: Philox4x32-10 (Salmon et al. 2011). The counter is [element / 4, 0, sample, step] and the word
//! element % 4, elements counted within one sample; src/util/prng.ts gives the same bits. No workspace, no scratch.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const expect = @import("../cpu/expect.zig");
const simd = @import("../cpu/simd.zig");
const strided = @import("../cpu/strided.zig");

const Instruction = kernel.Instruction;
const lanes = simd.lanes;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .random_bits, .run = run, .check = check },
};

/// A multiple of the elements of one vector of counters.
const tile_elements = 16384;

fn check(ins: *const Instruction) callconv(.c) ?[*:0]const u8 {
    if (!expect.operands(ins, 3, 2)) return "random_bits: needs three operands and two words";
    const step = ins.operand(0);
    const sample = ins.operand(1);
    const out = ins.operand(2);
    if (!expect.dense_of(step, .u32) or step.count() != 1)
        return "random_bits: the step is not one u32";
    if (!expect.dense_of(sample, .u32) or sample.rank != 1)
        return "random_bits: the samples are not u32 [B]";
    if (!expect.dense_output(out) or out.dtype != .u32)
        return "random_bits: the result is not contiguous u32";
    if (out.rank == 0 or out.dims[0] != sample.dims[0])
        return "random_bits: result and samples differ in their first dim";
    return null;
}

fn run(t: *kernel.Thread, ins: *const Instruction) callconv(.c) void {
    const out = ins.operand(2);
    if (out.count() == 0) return;
    const samples = ins.operand(1).ptr(u32);
    const step = ins.operand(0).ptr(u32)[0];
    const key = [2]u32{ ins.word(0), ins.word(1) };
    const per_sample = out.count() / out.dims[0];
    const pieces = (per_sample + tile_elements - 1) / tile_elements;
    const units = out.dims[0] * pieces;
    const together = @max(1, tile_elements / per_sample);
    const tiles = strided.tile_count(units, together);
    while (t.claim(tiles)) |tile| {
        for (tile * together..@min(units, (tile + 1) * together)) |unit| {
            const sample = unit / pieces;
            const from = unit % pieces * tile_elements;
            const n = @min(per_sample - from, tile_elements);
            const to = out.ptr(u32)[sample * per_sample + from ..][0..n];
            generate(to, from / 4, .{ samples[sample], step }, key);
        }
    }
}

/// Philox on `n` counters, n even: 64-bit products of even and odd lanes apart, as the hardware multiplies.
pub fn Counters(comptime n: comptime_int) type {
    const V = @Vector(n, u32);
    const Pairs = @Vector(n / 2, u64);
    const low_half: Pairs = @splat(0xffffffff);
    const shift: @Vector(n / 2, u6) = @splat(32);
    return struct {
        const Product = struct { low: V, high: V };

        inline fn multiply(x: V, comptime factor: u64) Product {
            const pairs: Pairs = @bitCast(x);
            const even = (pairs & low_half) * @as(Pairs, @splat(factor));
            const odd = (pairs >> shift) * @as(Pairs, @splat(factor));
            return .{
                .low = @bitCast((even & low_half) | (odd << shift)),
                .high = @bitCast((even >> shift) | (odd & ~low_half)),
            };
        }

        /// Ten rounds.
        pub inline fn philox(counter: [4]V, key: [2]u32) [4]V {
            var c = counter;
            var k0 = key[0];
            var k1 = key[1];
            inline for (0..10) |_| {
                const a = multiply(c[0], 0xd2511f53);
                const b = multiply(c[2], 0xcd9e8d57);
                c = .{
                    b.high ^ c[1] ^ @as(V, @splat(k0)), b.low,
                    a.high ^ c[3] ^ @as(V, @splat(k1)), a.low,
                };
                k0 +%= 0x9e3779b9;
                k1 +%= 0xbb67ae85;
            }
            return c;
        }
    };
}

/// The words from block `first` on of one sample: `tail` is the upper half of every counter.
fn generate(to: []u32, first: u64, tail: [2]u32, key: [2]u32) void {
    const V = @Vector(lanes, u32);
    var at: u64 = 0;
    while (at < to.len) : (at += 4 * lanes) {
        const block = first + at / 4;
        const low = @as(V, @splat(@truncate(block))) +% std.simd.iota(u32, lanes);
        // `first` is a multiple of the lanes, so the low half does not wrap within a vector.
        const upper: V = @splat(@truncate(block >> 32));
        const counter = [4]V{ low, upper, @splat(tail[0]), @splat(tail[1]) };
        const words = Counters(lanes).philox(counter, key);
        const even = std.simd.interlace(.{ words[0], words[2] });
        const odd = std.simd.interlace(.{ words[1], words[3] });
        const all: [4 * lanes]u32 = std.simd.interlace(.{ even, odd });
        const n = @min(to.len - at, 4 * lanes);
        if (n == 4 * lanes) to[at..][0 .. 4 * lanes].* = all else @memcpy(to[at..], all[0..n]);
    }
}

const testing = std.testing;
const team = @import("../cpu/test_team.zig");

test "known answers of Random123" {
    const Vector = struct { counter: [4]u32, key: [2]u32, want: [4]u32 };
    const ones = 0xffffffff;
    const vectors = [_]Vector{
        .{
            .counter = @splat(0),
            .key = @splat(0),
            .want = .{ 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 },
        },
        .{
            .counter = @splat(ones),
            .key = @splat(ones),
            .want = .{ 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd },
        },
        .{
            .counter = .{ 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
            .key = .{ 0xa4093822, 0x299f31d0 },
            .want = .{ 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 },
        },
    };
    for (vectors) |v| {
        var counter: [4]@Vector(lanes, u32) = undefined;
        for (&counter, v.counter) |*c, word| c.* = @splat(word);
        const got = Counters(lanes).philox(counter, v.key);
        for (got, v.want) |words, want| {
            const values: [lanes]u32 = words;
            for (values) |value| try testing.expectEqual(want, value);
        }
    }
}

test "the same words as src/util/prng.ts" {
    var step = [_]u32{3};
    var samples = [_]u32{ 0, 42 };
    var out: [2 * 6]u32 = undefined;
    const operands = [_]abi.Operand{
        team.contiguous(@as([]u32, &step), .u32, &.{}),
        team.contiguous(@as([]u32, &samples), .u32, &.{2}),
        team.output(team.contiguous(@as([]u32, &out), .u32, &.{ 2, 6 })),
    };
    const ins = team.instruction(.random_bits, &operands, &.{ 0x12345678, 0x9abcdef0 }, false);
    _ = try team.run(kernels[0], &ins, 1);
    const want = [_]u32{ 0x2a3382f4, 0x4df09b54, 0x452cb499, 0xf994194b, 0xd71bed79, 0xb4f06524 };
    try testing.expectEqualSlices(u32, &want, out[6..]);
}

test "an element depends on step, sample and its index only" {
    const per_sample = 40003;
    const data = try testing.allocator.alloc(u32, 3 * per_sample + 1);
    defer testing.allocator.free(data);
    var step = [_]u32{9};
    var samples = [_]u32{ 5, 6, 5 };
    data[3 * per_sample] = 77;
    const operands = [_]abi.Operand{
        team.contiguous(@as([]u32, &step), .u32, &.{}),
        team.contiguous(@as([]u32, &samples), .u32, &.{3}),
        team.output(team.contiguous(data, .u32, &.{ 3, per_sample })),
    };
    const ins = team.instruction(.random_bits, &operands, &.{ 1, 2 }, false);
    for (1..4) |threads| {
        @memset(data[0 .. 3 * per_sample], 0);
        _ = try team.run(kernels[0], &ins, @intCast(threads));
        try testing.expectEqual(77, data[3 * per_sample]);
        const last = data[2 * per_sample ..][0..per_sample];
        try testing.expectEqualSlices(u32, data[0..per_sample], last);
        var ones: u64 = 0;
        for (data[0 .. 2 * per_sample], 0..) |word, i| {
            const e: u32 = @intCast(i % per_sample);
            const counter = [4]@Vector(2, u32){
                @splat(e / 4), @splat(0), @splat(samples[i / per_sample]), @splat(9),
            };
            try testing.expectEqual(Counters(2).philox(counter, .{ 1, 2 })[e % 4][0], word);
            ones += @popCount(word);
        }
        // 32 * 80006 fair bits: six standard deviations are 4800.
        const expected = 16 * 2 * per_sample;
        try testing.expect(@max(ones, expected) - @min(ones, expected) < 4800);
    }
}
