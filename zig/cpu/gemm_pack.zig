//! Copies a block of an operand into panels, the order in which the micro-kernel reads it: element
//! (p, v) of a panel of width w lies at p * w + v, where p runs along k (in steps) and v across it.
//! `Packed` f32 is one k a step; u32 is a pair of bf16 (even k in the low half; 0 past the end).
const std = @import("std");
const abi = @import("../abi.zig");
const simd = @import("simd.zig");

const lanes = simd.lanes;

/// A block of an operand, whatever its storage: element (p, v) at p * k_stride + v * v_stride.
pub const Source = struct {
    data: [*]const u8,
    dtype: abi.Dtype,
    k_stride: usize,
    v_stride: usize,

    pub fn at(s: Source, p: usize, v: usize) Source {
        var moved = s;
        moved.data += (p * s.k_stride + v * s.v_stride) * abi.dtype_bytes(s.dtype);
        return moved;
    }
};

/// Packs panels of equal width: `panels` of `width` columns each, `k` elements deep, one behind the
/// other at `target`. `rounds` rounds f32 to bf16 precision.
pub fn pack(
    comptime Packed: type,
    source: Source,
    rounds: bool,
    k: usize,
    width: usize,
    panels: usize,
    target: [*]Packed,
) void {
    std.debug.assert(width > 0 and width <= 4 * lanes);
    std.debug.assert(source.dtype == .f32 or source.dtype == .bf16);
    if (source.dtype == .bf16)
        return Packer(Packed, u16, false).pack(source, k, width, width, panels, target);
    if (rounds and Packed == f32)
        return Packer(Packed, f32, true).pack(source, k, width, width, panels, target);
    return Packer(Packed, f32, false).pack(source, k, width, width, panels, target);
}

/// Packs one panel of `width` columns of which only `valid` exist; the others become zero.
pub fn pack_partial(
    comptime Packed: type,
    source: Source,
    rounds: bool,
    k: usize,
    width: usize,
    valid: usize,
    target: [*]Packed,
) void {
    std.debug.assert(valid <= width);
    if (source.dtype == .bf16)
        return Packer(Packed, u16, false).pack(source, k, width, valid, 1, target);
    if (rounds and Packed == f32)
        return Packer(Packed, f32, true).pack(source, k, width, valid, 1, target);
    return Packer(Packed, f32, false).pack(source, k, width, valid, 1, target);
}

pub fn steps_of(comptime Packed: type, k: usize) usize {
    return if (Packed == f32) k else (k + 1) / 2;
}

fn Packer(comptime Packed: type, comptime Stored: type, comptime rounds: bool) type {
    return struct {
        const per_step = if (Packed == f32) 1 else 2;
        const Pointer = [*]const Stored;

        fn pack(
            source: Source,
            k: usize,
            width: usize,
            valid: usize,
            panels: usize,
            target: [*]Packed,
        ) void {
            const data: Pointer = @ptrCast(@alignCast(source.data));
            const ks = source.k_stride;
            const vs = source.v_stride;
            const steps = steps_of(Packed, k);
            if (vs == 1 and valid == width) {
                switch (width) {
                    inline 1...8, 16, 32, 48, 64 => |w| {
                        return rows(w, data, ks, k, panels, target);
                    },
                    else => {},
                }
            }
            for (0..panels) |panel| {
                const from = data + panel * width * vs;
                const to = target + panel * width * steps;
                if (ks == 1) {
                    along(from, vs, k, width, valid, to);
                } else {
                    block(from, ks, vs, k, 0, 0, width, width, valid, to);
                }
            }
        }

        /// Columns adjacent in memory: whole vectors move. The loop over panels is inside, so that
        /// long rows are read in one go.
        fn rows(
            comptime w: usize,
            data: Pointer,
            ks: usize,
            k: usize,
            panels: usize,
            to: [*]Packed,
        ) void {
            const steps = steps_of(Packed, k);
            for (0..steps) |p| {
                var from = data + p * per_step * ks;
                const second = per_step == 2 and p * 2 + 1 < k;
                var target = to + p * w;
                for (0..panels) |_| {
                    comptime var v = 0;
                    inline while (v < w) {
                        const n = comptime @min(lanes, w - v);
                        target[v..][0..n].* = across(n, from + v, ks, second);
                        v += n;
                    }
                    from += w;
                    target += w * steps;
                }
            }
        }

        /// Elements of one column adjacent in memory: transposes blocks of `n` columns by 4 steps.
        fn along(
            data: Pointer,
            vs: usize,
            k: usize,
            width: usize,
            valid: usize,
            to: [*]Packed,
        ) void {
            const quads = k / (4 * per_step);
            var v: usize = 0;
            if (width % lanes == 0) {
                while (v + lanes <= valid) : (v += lanes)
                    transpose(lanes, lanes, data + v * vs, vs, quads, width, to + v);
            } else switch (valid) {
                inline 1...8 => |n| {
                    transpose(8, n, data, vs, quads, width, to);
                    v = n;
                },
                else => {},
            }
            // What is left over on the right, and the last steps.
            if (v < width) block(data, 1, vs, quads * 4 * per_step, 0, v, width, width, valid, to);
            block(data, 1, vs, k, quads * 4, 0, v, width, valid, to);
            if (v < width) block(data, 1, vs, k, quads * 4, v, width, width, valid, to);
        }

        /// Element by element, from step p0 and columns [v0, v1).
        fn block(
            data: Pointer,
            ks: usize,
            vs: usize,
            k: usize,
            p0: usize,
            v0: usize,
            v1: usize,
            width: usize,
            valid: usize,
            to: [*]Packed,
        ) void {
            for (p0..steps_of(Packed, k)) |p| {
                const second = p * per_step + 1 < k;
                for (v0..v1) |v| {
                    const from = data + p * per_step * ks + v * vs;
                    to[p * width + v] = if (v < valid) across(1, from, ks, second)[0] else 0;
                }
            }
        }

        /// n adjacent columns of one step.
        inline fn across(
            comptime n: usize,
            p: Pointer,
            ks: usize,
            second: bool,
        ) @Vector(n, Packed) {
            if (Packed == f32) return finish(n, widen(n, p[0..n].*));
            const low: @Vector(n, u32) = halves(n, p);
            if (!second) return low;
            const high: @Vector(n, u32) = halves(n, p + ks);
            return low | (high << @splat(16));
        }

        inline fn widen(comptime n: usize, x: @Vector(n, Stored)) @Vector(n, f32) {
            if (Stored == f32) return x;
            return @bitCast(@as(@Vector(n, u32), x) << @splat(16));
        }

        inline fn finish(comptime n: usize, x: @Vector(n, f32)) @Vector(n, f32) {
            if (!rounds) return x;
            return @bitCast(@as(@Vector(n, u32), bf16_bits(n, x)) << @splat(16));
        }

        inline fn halves(comptime n: usize, p: Pointer) @Vector(n, u16) {
            const x: @Vector(n, Stored) = p[0..n].*;
            return if (Stored == u16) x else bf16_bits(n, x);
        }

        /// `n` columns, of which `valid` exist, and 4 * quads steps. Each vector gathers 4 steps of
        /// the columns i, i + 4, ...; a 4 x 4 transpose inside the 128-bit parts then orders them.
        inline fn transpose(
            comptime n: usize,
            comptime valid: usize,
            data: Pointer,
            vs: usize,
            quads: usize,
            width: usize,
            to: [*]Packed,
        ) void {
            var from = data;
            var target = to;
            for (0..quads) |_| {
                // Opaque, so that addresses are computed from few registers and not kept in many.
                const base = opaque_to_optimizer(from);
                var part: [4]@Vector(n, Packed) = undefined;
                inline for (0..4) |i| {
                    var pieces: [n / 4]@Vector(4, Packed) = undefined;
                    inline for (0..n / 4) |piece| {
                        const column = i + 4 * piece;
                        pieces[piece] = if (column < valid) quad(base + column * vs) else @splat(0);
                    }
                    part[i] = opaque_to_optimizer(concat(n, pieces));
                }
                const columns = transpose4(n, part);
                inline for (columns, 0..) |column, i| {
                    const whole = if (Packed == f32) finish(n, column) else column;
                    const Row = *align(@alignOf(Packed)) @Vector(valid, Packed);
                    const at: Row = @ptrCast(target + i * width);
                    const first = comptime Masks(n).first(valid);
                    at.* = if (valid == n) whole else @shuffle(Packed, whole, undefined, first);
                }
                from += 4 * per_step;
                target += 4 * width;
            }
        }

        /// Four steps of one column.
        inline fn quad(p: Pointer) @Vector(4, Packed) {
            if (Packed == f32) return widen(4, p[0..4].*);
            return @bitCast(halves(8, p));
        }

        inline fn concat(comptime n: usize, pieces: [n / 4]@Vector(4, Packed)) @Vector(n, Packed) {
            if (n == 8) return @shuffle(Packed, pieces[0], pieces[1], Masks(4).join);
            const low = @shuffle(Packed, pieces[0], pieces[1], Masks(4).join);
            const high = @shuffle(Packed, pieces[2], pieces[3], Masks(4).join);
            return @shuffle(Packed, low, high, Masks(8).join);
        }

        inline fn transpose4(comptime n: usize, r: [4]@Vector(n, Packed)) [4]@Vector(n, Packed) {
            const m = Masks(n);
            const a = opaque_to_optimizer(@shuffle(Packed, r[0], r[1], m.low));
            const b = opaque_to_optimizer(@shuffle(Packed, r[2], r[3], m.low));
            const c = opaque_to_optimizer(@shuffle(Packed, r[0], r[1], m.high));
            const d = opaque_to_optimizer(@shuffle(Packed, r[2], r[3], m.high));
            return .{
                opaque_to_optimizer(@shuffle(Packed, a, b, m.first_pair)),
                opaque_to_optimizer(@shuffle(Packed, a, b, m.last_pair)),
                opaque_to_optimizer(@shuffle(Packed, c, d, m.first_pair)),
                opaque_to_optimizer(@shuffle(Packed, c, d, m.last_pair)),
            };
        }
    };
}

/// Keeps LLVM from merging one stage of shuffles with the next, which ends in far worse code.
inline fn opaque_to_optimizer(x: anytype) @TypeOf(x) {
    if (@typeInfo(@TypeOf(x)) == .pointer) return asm (""
        : [out] "=r" (-> @TypeOf(x)),
        : [x] "0" (x),
    );
    return asm (""
        : [out] "=v" (-> @TypeOf(x)),
        : [x] "0" (x),
    );
}

/// Shuffle masks over two vectors of n lanes; negative indices address the second.
fn Masks(comptime n: usize) type {
    return struct {
        const low = pattern(.{ 0, -1, 1, -2 });
        const high = pattern(.{ 2, -3, 3, -4 });
        const first_pair = pattern(.{ 0, 1, -1, -2 });
        const last_pair = pattern(.{ 2, 3, -3, -4 });
        const join = mask: {
            var mask: [2 * n]i32 = undefined;
            for (0..n) |i| {
                mask[i] = i;
                mask[n + i] = -1 - @as(i32, i);
            }
            break :mask mask;
        };

        fn first(comptime count: usize) [count]i32 {
            return join[0..count].*;
        }

        /// The same within each 128-bit part.
        fn pattern(part: [4]i32) [n]i32 {
            var mask: [n]i32 = undefined;
            for (&mask, 0..) |*m, i| {
                const base: i32 = @intCast(i / 4 * 4);
                m.* = if (part[i % 4] >= 0) part[i % 4] + base else part[i % 4] - base;
            }
            return mask;
        }
    };
}

/// Rounds to the nearest even bf16; NaN stays NaN.
inline fn bf16_bits(comptime n: usize, x: @Vector(n, f32)) @Vector(n, u16) {
    if (simd.has_bf16 and (n == 16 or n == 8)) {
        return asm ("vcvtneps2bf16 %[x], %[out]"
            : [out] "=v" (-> @Vector(n, u16)),
            : [x] "v" (x),
        );
    }
    const U = @Vector(n, u32);
    const bits: U = @bitCast(x);
    const shift: @Vector(n, u5) = @splat(16);
    const odd = (bits >> shift) & @as(U, @splat(1));
    const rounded = (bits +% @as(U, @splat(0x7fff)) +% odd) >> shift;
    const nan = (bits >> shift) | @as(U, @splat(0x40));
    return @truncate(@select(u32, x != x, nan, rounded));
}

fn check_pack(comptime Packed: type, dtype: abi.Dtype, by_rows: bool, rounds: bool) !void {
    const k = 23;
    const columns = 200;
    var f: [k * columns]f32 = undefined;
    var h: [k * columns]u16 = undefined;
    for (&f, &h, 0..) |*x, *y, i| {
        x.* = @sin(@as(f32, @floatFromInt(i)) * 1.3);
        y.* = simd.bf16_from_f32(x.*);
    }
    const source: Source = .{
        .data = if (dtype == .f32) @ptrCast(&f) else @ptrCast(&h),
        .dtype = dtype,
        .k_stride = if (by_rows) columns else 1,
        .v_stride = if (by_rows) 1 else k,
    };
    const steps = steps_of(Packed, k);
    for ([_]usize{ 1, 3, 6, 8, lanes, 2 * lanes, 3 * lanes }) |width| for (0..2) |partial| {
        const panels = if (partial == 1) 1 else columns / width;
        const valid = width - @min(partial, width - 1);
        var to: [columns * (k + 1)]Packed = undefined;
        if (partial == 1)
            pack_partial(Packed, source, rounds, k, width, valid, &to)
        else
            pack(Packed, source, rounds, k, width, panels, &to);
        for (0..panels) |panel| for (0..steps) |p| for (0..width) |v| {
            const got = to[panel * width * steps + p * width + v];
            const at = (panel * width + v) * source.v_stride;
            const want: Packed = if (v >= valid) 0 else if (Packed == f32) want: {
                const x = f[at + p * source.k_stride];
                const keeps = dtype == .f32 and !rounds;
                break :want if (keeps) x else simd.f32_from_bf16(simd.bf16_from_f32(x));
            } else pair: {
                const low: u32 = h[at + 2 * p * source.k_stride];
                const high: u32 = if (2 * p + 1 < k) h[at + (2 * p + 1) * source.k_stride] else 0;
                break :pair low | high << 16;
            };
            try std.testing.expectEqual(want, got);
        };
    };
}

test "panels hold every element, from both layouts, rounded and paired" {
    for ([_]bool{ false, true }) |by_rows| {
        try check_pack(f32, .f32, by_rows, false);
        try check_pack(f32, .f32, by_rows, true);
        try check_pack(f32, .bf16, by_rows, true);
        try check_pack(u32, .f32, by_rows, true);
        try check_pack(u32, .bf16, by_rows, true);
    }
}
