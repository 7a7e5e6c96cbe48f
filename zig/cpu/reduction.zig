//! Sums and maxima of register lanes: narrow (32-bit) partial results over short runs, wide (64-bit) ones beyond.
//! Every order is fixed by the lengths and the CPU level.
const std = @import("std");
const abi = @import("../abi.zig");
const simd = @import("simd.zig");

const lanes = simd.lanes;

pub const Kind = enum { sum_float, max_float, sum_integer, max_signed, max_unsigned };

pub fn Fold(comptime kind: Kind) type {
    return struct {
        const is_float = kind == .sum_float or kind == .max_float;
        pub const Narrow = switch (kind) {
            .sum_float, .max_float => f32,
            .sum_integer, .max_unsigned => u32,
            .max_signed => i32,
        };
        /// Integer sums wrap at 32 bits in the end, so a wrapping 64-bit sum holds what is needed.
        pub const Wide = if (is_float) f64 else i64;
        const V = @Vector(lanes, Narrow);
        const W = @Vector(lanes, Wide);

        pub const identity: Narrow = switch (kind) {
            .sum_float, .sum_integer, .max_unsigned => 0,
            .max_float => -std.math.inf(f32),
            .max_signed => std.math.minInt(i32),
        };
        pub const identity_wide: Wide = identity;

        /// Of two vectors or of two numbers of the same type. A maximum keeps NaN.
        inline fn meet(a: anytype, b: @TypeOf(a)) @TypeOf(a) {
            return switch (kind) {
                .sum_float => a + b,
                .sum_integer => a +% b,
                .max_signed, .max_unsigned => @max(a, b),
                .max_float => switch (@typeInfo(@TypeOf(a))) {
                    .vector => |v| @select(v.child, a != a, a, @select(v.child, a > b, a, b)),
                    else => if (a != a or a > b) a else b,
                },
            };
        }

        pub inline fn join(a: Wide, b: Wide) Wide {
            return meet(a, b);
        }

        inline fn fold(comptime n: comptime_int, v: @Vector(n, Wide)) Wide {
            if (n == 1) return v[0];
            const half = n / 2;
            const low = std.simd.iota(i32, half);
            const high = low + @as(@Vector(half, i32), @splat(half));
            const a = @shuffle(Wide, v, undefined, low);
            return fold(half, meet(a, @shuffle(Wide, v, undefined, high)));
        }

        /// All of `n` contiguous lanes: four narrow chains for whole vectors, wide from there.
        pub fn run(values: [*]const Narrow, n: u64) Wide {
            var i: u64 = 0;
            var total = identity_wide;
            if (n >= lanes) {
                const start: V = @splat(identity);
                var chains: [4]V = .{ start, start, start, start };
                while (i + 4 * lanes <= n) : (i += 4 * lanes) {
                    inline for (0..4) |c| {
                        const v: V = values[i + c * lanes ..][0..lanes].*;
                        chains[c] = meet(chains[c], v);
                    }
                }
                while (i + lanes <= n) : (i += lanes) {
                    const v: V = values[i..][0..lanes].*;
                    chains[0] = meet(chains[0], v);
                }
                const a = meet(@as(W, chains[0]), @as(W, chains[1]));
                total = fold(lanes, meet(a, meet(@as(W, chains[2]), @as(W, chains[3]))));
            }
            while (i < n) : (i += 1) total = meet(total, @as(Wide, values[i]));
            return total;
        }

        /// into[j] = meet(into[j], values[j])
        pub fn add(into: []Narrow, values: [*]const Narrow) void {
            var i: u64 = 0;
            while (i + lanes <= into.len) : (i += lanes) {
                const a: V = into[i..][0..lanes].*;
                const b: V = values[i..][0..lanes].*;
                simd.store_vector(into.ptr + i, meet(a, b));
            }
            while (i < into.len) : (i += 1) into[i] = meet(into[i], values[i]);
        }

        /// into[j] = meet(into[j], values[j])
        pub fn widen(into: []Wide, values: []const Narrow) void {
            std.debug.assert(into.len == values.len);
            var i: u64 = 0;
            while (i + lanes <= into.len) : (i += lanes) {
                const a: W = into[i..][0..lanes].*;
                const b: V = values[i..][0..lanes].*;
                simd.store_vector(into.ptr + i, meet(a, @as(W, b)));
            }
            while (i < into.len) : (i += 1) into[i] = meet(into[i], @as(Wide, values[i]));
        }

        /// Writes result `at`, converted to the operand's dtype.
        pub fn store(o: *const abi.Operand, at: u64, value: Wide) void {
            if (is_float) {
                const x: f32 = @floatCast(value);
                if (o.dtype == .f32) {
                    o.ptr(f32)[at] = x;
                } else {
                    o.ptr(u16)[at] = simd.bf16_from_f32(x);
                }
                return;
            }
            const bits: u32 = @truncate(@as(u64, @bitCast(value)));
            if (o.dtype == .bool) o.data[at] = @intFromBool(bits != 0) else o.ptr(u32)[at] = bits;
        }
    };
}
