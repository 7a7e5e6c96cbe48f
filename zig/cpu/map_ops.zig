//! Meaning of each `MapOp` on one vector of 32-bit lanes, and loops that apply one to a block of lanes.
const std = @import("std");
const abi = @import("../abi.zig");
const math = @import("math.zig");
const simd = @import("simd.zig");

const F = simd.F;
const I = simd.I;
const U = simd.U;
const MapOp = abi.MapOp;
const lanes = simd.lanes;

/// How many of a, b, c an instruction reads.
pub fn arity(op: MapOp) u32 {
    return switch (op) {
        .fma, .select => 3,
        .neg, .exp, .log, .sqrt, .rsqrt, .sin, .cos, .tanh, .erf, .abs, .floor => 1,
        .gelu_tanh, .gelu_tanh_grad, .gelu_erf, .gelu_erf_grad, .silu, .silu_grad => 1,
        .sigmoid, .round_bf16, .negi, .absi, .f_to_i, .f_to_u, .i_to_f, .u_to_f => 1,
        .to_bool_f, .to_bool_i, .bitcast => 1,
        else => 2,
    };
}

inline fn float(x: U) F {
    return @bitCast(x);
}

inline fn signed(x: U) I {
    return @bitCast(x);
}

inline fn splat(x: u32) U {
    return @splat(x);
}

inline fn truth(x: @Vector(lanes, bool)) U {
    return @select(u32, x, splat(1), splat(0));
}

/// The larger; NaN if either is.
pub inline fn max_float(a: F, b: F) F {
    return @select(f32, a != a, a, @select(f32, a > b, a, b));
}

inline fn min_float(a: F, b: F) F {
    return @select(f32, a != a, a, @select(f32, a < b, a, b));
}

/// Towards zero, saturating; NaN becomes 0.
inline fn float_to_signed(x: F) I {
    const limit: F = @splat(2147483648.0);
    const zero: F = @splat(0);
    const below: F = @splat(2147483520.0);
    const number = @select(f32, x == x, x, zero);
    const low = @select(f32, number < -limit, -limit, number);
    const inside: I = @intFromFloat(@select(f32, low > below, below, low));
    return @select(i32, number >= limit, @as(I, @splat(std.math.maxInt(i32))), inside);
}

inline fn float_to_unsigned(x: F) U {
    const limit: F = @splat(4294967296.0);
    const half: F = @splat(2147483648.0);
    const number = @select(f32, x > @as(F, @splat(0)), x, @as(F, @splat(0)));
    // The upper half goes through the signed conversion, shifted down by 2^31: exact there.
    const upper = number >= half;
    const part = float_to_signed(@select(f32, upper, number - half, number));
    const whole = @as(U, @bitCast(part)) +% @select(u32, upper, splat(1 << 31), splat(0));
    return @select(u32, number >= limit, splat(std.math.maxInt(u32)), whole);
}

/// Towards zero; x / 0 is 0 and the one quotient that overflows wraps. There is no vector instruction for it.
fn divide(a: U, b: U, comptime is_signed: bool) U {
    const x: [lanes]u32 = a;
    const y: [lanes]u32 = b;
    var out: [lanes]u32 = undefined;
    for (&out, x, y) |*o, p, q| {
        if (q == 0) {
            o.* = 0;
        } else if (is_signed) {
            const n: i64 = @as(i32, @bitCast(p));
            const d: i64 = @as(i32, @bitCast(q));
            o.* = @truncate(@as(u64, @bitCast(@divTrunc(n, d))));
        } else {
            o.* = p / q;
        }
    }
    return out;
}

inline fn round_bf16(x: F) F {
    const half: @Vector(lanes, u16) = simd.bf16_vector(x);
    return @bitCast(@as(U, half) << @splat(16));
}

inline fn unary_float(comptime op: MapOp, x: F) F {
    return switch (op) {
        .neg => -x,
        .exp => math.exp(x),
        .log => math.log(x),
        .sqrt => @sqrt(x),
        .rsqrt => @as(F, @splat(1)) / @sqrt(x),
        .sin => math.sin(x),
        .cos => math.cos(x),
        .tanh => math.tanh(x),
        .erf => math.erf(x),
        .abs => @abs(x),
        .floor => @floor(x),
        .gelu_tanh => math.gelu_tanh(x),
        .gelu_tanh_grad => math.gelu_tanh_grad(x),
        .gelu_erf => math.gelu_erf(x),
        .gelu_erf_grad => math.gelu_erf_grad(x),
        .silu => math.silu(x),
        .silu_grad => math.silu_grad(x),
        .sigmoid => math.sigmoid(x),
        .round_bf16 => round_bf16(x),
        else => comptime unreachable,
    };
}

inline fn binary_float(comptime op: MapOp, a: F, b: F) F {
    return switch (op) {
        .add => a + b,
        .sub => a - b,
        .mul => a * b,
        .div => a / b,
        .max => max_float(a, b),
        .min => min_float(a, b),
        .pow => math.pow(a, b),
        else => comptime unreachable,
    };
}

pub inline fn apply(comptime op: MapOp, a: U, b: U, c: U) U {
    const zero = splat(0);
    return switch (op) {
        .add, .sub, .mul, .div, .max, .min, .pow => @bitCast(binary_float(op, float(a), float(b))),
        .fma => @bitCast(@mulAdd(F, float(a), float(b), float(c))),
        .eq => truth(float(a) == float(b)),
        .ne => truth(float(a) != float(b)),
        .lt => truth(float(a) < float(b)),
        .le => truth(float(a) <= float(b)),
        .select => @select(u32, a != zero, b, c),
        .addi => a +% b,
        .subi => a -% b,
        .muli => a *% b,
        .divi => divide(a, b, true),
        .divu => divide(a, b, false),
        .maxi => @bitCast(@max(signed(a), signed(b))),
        .mini => @bitCast(@min(signed(a), signed(b))),
        .maxu => @max(a, b),
        .minu => @min(a, b),
        .eqi => truth(a == b),
        .nei => truth(a != b),
        .lti => truth(signed(a) < signed(b)),
        .lei => truth(signed(a) <= signed(b)),
        .ltu => truth(a < b),
        .leu => truth(a <= b),
        .andi => a & b,
        .ori => a | b,
        .negi => zero -% a,
        .absi => @select(u32, signed(a) < signed(zero), zero -% a, a),
        .f_to_i => @bitCast(float_to_signed(float(a))),
        .f_to_u => float_to_unsigned(float(a)),
        .i_to_f => @bitCast(@as(F, @floatFromInt(signed(a)))),
        .u_to_f => @bitCast(@as(F, @floatFromInt(a))),
        .to_bool_f => truth(float(a) != float(zero)),
        .to_bool_i => truth(a != zero),
        .bitcast => a,
        else => @bitCast(unary_float(op, float(a))),
    };
}

/// A run of vectors: `step` is `lanes`, or 0 to repeat one vector.
pub const Lanes = struct { at: [*]const u32, step: usize };

/// Applies `op` to `vectors` vectors. `out` may be one of the sources.
pub fn run(op: MapOp, out: [*]u32, a: Lanes, b: Lanes, c: Lanes, vectors: usize) void {
    switch (op) {
        inline else => |known| run_known(known, out, a, b, c, vectors),
    }
}

fn run_known(
    comptime op: MapOp,
    out: [*]u32,
    a: Lanes,
    b: Lanes,
    c: Lanes,
    vectors: usize,
) void {
    const count = comptime arity(op);
    for (0..vectors) |i| {
        const x: U = a.at[i * a.step ..][0..lanes].*;
        const y: U = if (count > 1) b.at[i * b.step ..][0..lanes].* else x;
        const z: U = if (count > 2) c.at[i * c.step ..][0..lanes].* else x;
        simd.store_vector(out + i * lanes, apply(op, x, y, z));
    }
}
