//! Vector types and conversions of one CPU level. `lanes` is the natural f32 width of the level being compiled;
//! reductions that must agree between levels are not promised (a level is part of the target).
const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi.zig");

pub const has_avx512 = std.Target.x86.featureSetHas(builtin.cpu.features, .avx512f);
pub const has_bf16 = std.Target.x86.featureSetHas(builtin.cpu.features, .avx512bf16);
pub const lanes: comptime_int = if (has_avx512) 16 else 8;

pub const F = @Vector(lanes, f32);
pub const I = @Vector(lanes, i32);
pub const U = @Vector(lanes, u32);

pub fn is_float(dtype: abi.Dtype) bool {
    return dtype == .f32 or dtype == .bf16;
}

pub fn is_index(dtype: abi.Dtype) bool {
    return dtype == .i32 or dtype == .u32;
}

/// Round to nearest even; NaN stays NaN.
pub inline fn bf16_from_f32(x: f32) u16 {
    const bits: u32 = @bitCast(x);
    if (x != x) return @intCast((bits >> 16) | 0x40);
    return @intCast((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

pub inline fn f32_from_bf16(x: u16) f32 {
    return @bitCast(@as(u32, x) << 16);
}

/// Loads a vector of `lanes` elements of T (f32 or u16 holding bf16) as f32.
pub inline fn load(comptime T: type, p: [*]const T) F {
    if (T == f32) return p[0..lanes].*;
    const v: @Vector(lanes, u16) = p[0..lanes].*;
    return @bitCast(@as(U, v) << @splat(16));
}

pub inline fn store(comptime T: type, p: [*]T, x: F) void {
    store_vector(p, if (T == f32) x else bf16_vector(x));
}

/// Stores a vector of any length as one: assigning it to an array would split it into halves under AVX-512.
pub inline fn store_vector(p: anytype, x: anytype) void {
    const V = @TypeOf(x);
    const T = @typeInfo(V).vector.child;
    const to: [*]T = p;
    @as(*align(@alignOf(T)) V, @ptrCast(to)).* = x;
}

pub inline fn bf16_vector(x: F) @Vector(lanes, u16) {
    const bits: U = @bitCast(x);
    const shift: @Vector(lanes, u5) = @splat(16);
    const odd = (bits >> shift) & @as(U, @splat(1));
    const rounded = (bits +% @as(U, @splat(0x7fff)) +% odd) >> shift;
    const nan = (bits >> shift) | @as(U, @splat(0x40));
    return @truncate(@select(u32, x != x, nan, rounded));
}

pub inline fn load_one(comptime T: type, p: [*]const T, i: usize) f32 {
    return if (T == f32) p[i] else f32_from_bf16(p[i]);
}

pub inline fn store_one(comptime T: type, p: [*]T, i: usize, x: f32) void {
    p[i] = if (T == f32) x else bf16_from_f32(x);
}
