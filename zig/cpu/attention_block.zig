//! Building blocks of attention: register-blocked products of small packed matrices, packing of strided rows, exp2.
//! All packed buffers are 64-byte aligned with rows padded to whole vectors, so there are no tails inside.
const std = @import("std");
const simd = @import("simd.zig");
const rows = @import("rows.zig");

pub const F = simd.F;
const U = simd.U;
const I = simd.I;
pub const lanes = simd.lanes;

/// Rows of one strip (what a product keeps in registers) and vectors per row.
pub const strip = 6;
pub const vectors = if (simd.has_avx512) 4 else 2;
/// Keys of one block.
pub const block_keys = 64;

/// A packed matrix.
pub const Packed = [*]align(64) f32;

pub inline fn load(p: [*]const f32) F {
    return @as(*const F, @ptrCast(@alignCast(p))).*;
}

pub inline fn store(p: [*]f32, x: F) void {
    @as(*F, @ptrCast(@alignCast(p))).* = x;
}

pub const Mode = enum {
    /// C = A B
    set,
    /// C += A B
    add,
    /// C = factor[row] * C + A B
    scale,
};

/// How the left matrix lies: row[i][k] with any row stride, or transposed as column[k][i] with `block_keys` a step.
pub const Left = enum { row, column };

pub const Product = struct {
    a: [*]const f32,
    /// Elements from row to row of a `row` matrix.
    a_stride: u64 = block_keys,
    b: [*]const f32,
    b_stride: u64,
    c: [*]f32,
    c_stride: u64,
    depth: u64,
    /// Columns of B and C in whole vectors.
    columns: u64,
    factor: [*]const f32 = undefined,
};

/// C [strip, columns] from A [strip, depth] and B [depth, columns]. Each element is one chain of fused
/// multiply-adds in ascending depth, so the blocking does not show in the bits.
pub fn multiply(comptime left: Left, comptime mode: Mode, p: Product) void {
    multiply_rows(strip, left, mode, p);
}

/// The same for the first `height` rows of a strip.
pub fn multiply_rows(
    comptime height: u32,
    comptime left: Left,
    comptime mode: Mode,
    p: Product,
) void {
    var at: u64 = 0;
    while (at + vectors <= p.columns) : (at += vectors)
        multiply_columns(height, left, mode, vectors, p, at * lanes);
    switch (p.columns - at) {
        inline 1...vectors - 1 => |n| multiply_columns(height, left, mode, n, p, at * lanes),
        else => {},
    }
}

fn multiply_columns(
    comptime height: u32,
    comptime left: Left,
    comptime mode: Mode,
    comptime n: u32,
    p: Product,
    column: u64,
) void {
    const c = p.c + column;
    var sums: [height][n]F = undefined;
    inline for (0..height) |i| inline for (0..n) |j| {
        const at = c + i * p.c_stride + j * lanes;
        sums[i][j] = switch (mode) {
            .set => @splat(0),
            .add => load(at),
            .scale => load(at) * @as(F, @splat(p.factor[i])),
        };
    };
    var a = p.a;
    var b = p.b + column;
    const a_row = if (left == .row) p.a_stride else 1;
    const a_step = if (left == .row) 1 else block_keys;
    for (0..p.depth) |_| {
        var right: [n]F = undefined;
        inline for (0..n) |j| right[j] = load(b + j * lanes);
        inline for (0..height) |i| {
            const value: F = @splat(a[i * a_row]);
            inline for (0..n) |j| sums[i][j] = @mulAdd(F, value, right[j], sums[i][j]);
        }
        a += a_step;
        b += p.b_stride;
    }
    inline for (0..height) |i|
        inline for (0..n) |j| store(c + i * p.c_stride + j * lanes, sums[i][j]);
}

/// 2^x for x <= 0, within 1e-7; exactly 0 below -100 (softmax weights that small do not matter, masked scores are
/// -inf, and subnormal numbers are slow).
pub inline fn exp2_negative(x: F) F {
    // At -127 the exponent and the polynomial cancel to the bits of 0.
    const clamped = @select(f32, x < @as(F, @splat(-100.0)), @as(F, @splat(-127.0)), x);
    const magic: F = @splat(12582912.0);
    const shifted = clamped + magic;
    const r = clamped - (shifted - magic);
    var p: F = @splat(0.001326472727228544);
    inline for (
        .{ 0.009671512756689331, 0.05550733744146461, 0.2402224208357448, 0.693146977598022, 1 },
    ) |c|
        p = @mulAdd(F, p, r, @splat(c));
    const shift: @Vector(lanes, u5) = @splat(23);
    const exponent = @as(U, @bitCast(shifted)) << shift;
    return @bitCast(@as(U, @bitCast(p)) +% exponent);
}

/// To the nearest bf16, still as f32.
pub inline fn round_bf16(x: F) F {
    const bits: U = @bitCast(x);
    const shift: @Vector(lanes, u5) = @splat(16);
    const odd = (bits >> shift) & @as(U, @splat(1));
    const rounded = (bits +% @as(U, @splat(0x7fff)) +% odd) & @as(U, @splat(0xffff0000));
    return @select(f32, x != x, x, @as(F, @bitCast(rounded)));
}

inline fn operand(comptime round: bool, x: F) F {
    return if (round) round_bf16(x) else x;
}

/// Rows ahead that packing asks for: strided rows are on pages of their own, which hardware does not foresee.
const rows_ahead = 16;

/// Asks for the cache lines of a row of `size` elements; any address is harmless.
pub inline fn prefetch_row(comptime T: type, row: [*]const T, size: u64, comptime rw: Access) void {
    const line = 64 / @sizeOf(T);
    var i: u64 = 0;
    while (i < size) : (i += line) @prefetch(row + i, .{ .locality = 2, .rw = rw });
}

pub const Access = std.builtin.PrefetchOptions.Rw;

/// n a multiple of `lanes`. Volatile, or the compiler would call a memset that goes byte by byte.
pub inline fn zero(p: [*]f32, n: u64) void {
    std.debug.assert(n % lanes == 0);
    var i: u64 = 0;
    while (i < n) : (i += lanes)
        @as(*volatile F, @ptrCast(@alignCast(p + i))).* = @splat(0);
}

/// `count` rows of `size` elements that lie `stride` apart, row-major with rows padded by zeros to whole vectors,
/// times `scale` after rounding.
pub fn pack_rows(
    comptime T: type,
    comptime round: bool,
    from: [*]const T,
    stride: u64,
    count: u64,
    size: u64,
    scale: f32,
    to: [*]f32,
) void {
    const padded = std.mem.alignForward(u64, size, lanes);
    for (0..count) |row| {
        const source = from + row * stride;
        if (row + rows_ahead < count) prefetch_row(T, source + rows_ahead * stride, size, .read);
        const target = to + row * padded;
        var i: u64 = 0;
        while (i < size) : (i += lanes)
            store(
                target + i,
                operand(round, rows.load_at(T, source, i, size, 0)) * rows.splat(scale),
            );
    }
}

/// `count` <= block_keys rows, transposed to [size][block_keys]; columns from count on, up to whole vectors, are 0.
pub fn pack_columns(
    comptime T: type,
    comptime round: bool,
    from: [*]const T,
    stride: u64,
    count: u64,
    size: u64,
    to: [*]f32,
) void {
    std.debug.assert(count <= block_keys);
    var first: u64 = 0;
    while (first < count) : (first += lanes) {
        for (first + lanes..first + 2 * lanes) |row| {
            if (row < count) prefetch_row(T, from + row * stride, size, .read);
        }
        var d: u64 = 0;
        while (d < size) : (d += lanes) {
            var tile: [lanes]F = undefined;
            for (0..lanes) |i| {
                const row = first + i;
                tile[i] = if (row < count)
                    rows.load_at(T, from + row * stride, d, size, 0)
                else
                    @splat(0);
            }
            transpose(&tile);
            for (0..@min(lanes, size - d)) |i|
                store(to + (d + i) * block_keys + first, operand(round, tile[i]));
        }
    }
}

/// In log2(lanes) rounds, each swapping one bit of the row index with that bit of the column index.
pub inline fn transpose(tile: *[lanes]F) void {
    @setEvalBranchQuota(10000);
    comptime var bit = 1;
    inline while (bit < lanes) : (bit *= 2) {
        inline for (0..lanes) |i| {
            if (i & bit == 0) {
                const a = tile[i];
                const b = tile[i | bit];
                tile[i] = @shuffle(f32, a, b, swap_mask(bit, false));
                tile[i | bit] = @shuffle(f32, a, b, swap_mask(bit, true));
            }
        }
    }
}

fn swap_mask(bit: usize, high: bool) @Vector(lanes, i32) {
    var mask: [lanes]i32 = undefined;
    for (&mask, 0..) |*m, k| {
        const from_b = k & bit != 0;
        const column: i32 = @intCast(if (high) k | bit else k & ~bit);
        m.* = if (from_b) ~column else column;
    }
    return mask;
}

test "products, packing and exp2" {
    var prng = std.Random.DefaultPrng.init(9);
    const rng = prng.random();
    const size = 5 * lanes;
    const depth = 37;
    const allocator = std.testing.allocator;
    const a = try allocator.alignedAlloc(f32, .@"64", block_keys * (depth + 1));
    defer allocator.free(a);
    const b = try allocator.alignedAlloc(f32, .@"64", depth * size);
    defer allocator.free(b);
    const c = try allocator.alignedAlloc(f32, .@"64", strip * size);
    defer allocator.free(c);
    for (a) |*x| x.* = rng.floatNorm(f32);
    for (b) |*x| x.* = rng.floatNorm(f32);
    var factor: [strip]f32 = undefined;
    for (&factor) |*x| x.* = rng.float(f32);
    inline for (.{ Left.row, Left.column }) |left| inline for (
        .{ Mode.set, Mode.add, Mode.scale },
    ) |mode| {
        for (1..6) |columns| {
            for (c) |*x| x.* = 2;
            multiply(left, mode, .{
                .a = a.ptr,
                .a_stride = depth,
                .b = b.ptr,
                .b_stride = size,
                .c = c.ptr,
                .c_stride = size,
                .depth = depth,
                .columns = columns,
                .factor = &factor,
            });
            for (0..strip) |i| for (0..columns * lanes) |j| {
                var sum: f64 = switch (mode) {
                    .set => 0,
                    .add => 2,
                    .scale => 2 * @as(f64, factor[i]),
                };
                for (0..depth) |k| {
                    const value: f64 = if (left == .row)
                        a[i * depth + k]
                    else
                        a[k * block_keys + i];
                    sum += value * b[k * size + j];
                }
                try std.testing.expectApproxEqAbs(sum, c[i * size + j], 1e-4);
            };
        }
    };
    const x: [lanes]f32 = @splat(-3.3);
    try std.testing.expectApproxEqRel(@as(f32, 0.1015315496), exp2_negative(x)[0], 2e-7);
    try std.testing.expectEqual(@as(f32, 1), exp2_negative(@splat(0))[0]);
    try std.testing.expectEqual(@as(f32, 0), exp2_negative(@splat(-std.math.inf(f32)))[0]);
    try std.testing.expectEqual(@as(f32, 0), exp2_negative(@splat(-101.3))[0]);
    try std.testing.expect(std.math.isNan(exp2_negative(@splat(std.math.nan(f32)))[0]));
}

test "pack_columns transposes with padding" {
    var from: [block_keys * 50]f32 = undefined;
    for (&from, 0..) |*x, i| x.* = @floatFromInt(i);
    for ([_]u64{ 1, 7, 16, 33, 64 }) |count| for ([_]u64{ 1, 20, 48 }) |size| {
        var to: [block_keys * 48]f32 align(64) = undefined;
        pack_columns(f32, false, &from, 50, count, size, &to);
        for (0..size) |d| for (0..std.mem.alignForward(u64, count, lanes)) |k| {
            const value = if (k < count) from[k * 50 + d] else 0;
            try std.testing.expectEqual(value, to[d * block_keys + k]);
        };
    };
}
