//! Elementary functions on vectors of `simd.lanes` floats, branch-free, within about 2 ulp
//! (relative error below 3e-7). NaN and infinities behave as in C. Coefficients are minimax fits.
//! `*_grad` is the derivative at x.
const std = @import("std");
const simd = @import("simd.zig");

const F = simd.F;
const I = simd.I;
const U = simd.U;
const D = @Vector(simd.lanes, f64);
const L = @Vector(simd.lanes, i64);

inline fn c(comptime x: f32) F {
    return @splat(x);
}

inline fn poly(comptime V: type, x: V, comptime coefficients: anytype) V {
    // Callers inline many polynomials. Highest power first.
    @setEvalBranchQuota(20_000);
    var r: V = @splat(coefficients[0]);
    inline for (1..coefficients.len) |i| r = @mulAdd(V, r, x, @splat(coefficients[i]));
    return r;
}

/// Minimum that keeps a NaN of `x`.
pub inline fn min(x: F, comptime bound: f32) F {
    return @select(f32, c(bound) < x, c(bound), x);
}

/// Maximum that keeps a NaN of `x`.
pub inline fn max(x: F, comptime bound: f32) F {
    return @select(f32, c(bound) > x, c(bound), x);
}

/// 2^n for -126 <= n <= 127.
inline fn power_of_two(n: I) F {
    const shift: @Vector(simd.lanes, u5) = @splat(23);
    return @bitCast((n +% @as(I, @splat(127))) << shift);
}

const Reduced = struct { n: I, whole: F, expm1: F };

/// e^x = 2^n * (1 + expm1) with the nearest n; adding 1.5 * 2^23 leaves n in the low bits.
inline fn reduce_exp(x: F) Reduced {
    const magic = 12582912.0;
    const shifted = @mulAdd(F, x, c(1.4426950408889634), c(magic));
    const n = @as(I, @bitCast(shifted)) -% @as(I, @bitCast(c(magic)));
    const whole = shifted - c(magic);
    var r = @mulAdd(F, whole, c(-0.693145751953125), x);
    r = @mulAdd(F, whole, c(-1.42860682030941723212e-6), r);
    const p = poly(F, r, .{
        0.00139475977418, 0.00836724674583, 0.0416662665454, 0.166665380158, 0.500000006571,
    });
    return .{ .n = n, .whole = whole, .expm1 = @mulAdd(F, r * r, p, r) };
}

pub inline fn exp(x: F) F {
    const e = reduce_exp(max(min(x, 89.0), -104.0));
    const one: @Vector(simd.lanes, u5) = @splat(1);
    // Two factors: the result may be subnormal or overflow to infinity.
    const half = e.n >> one;
    const a = power_of_two(half);
    const b = power_of_two(e.n -% half);
    return @mulAdd(F, e.expm1, a, a) * b;
}

/// exp for x <= 0, as in a softmax; what would fall below e^-87 becomes e^-87. Cheaper than `exp`.
pub inline fn exp_negative(x: F) F {
    const e = reduce_exp(max(x, -87.0));
    const a = power_of_two(e.n);
    return @mulAdd(F, e.expm1, a, a);
}

/// exp for use under 1 / (1 + e^x): constant beyond +-87, so that neither it nor the quotient
/// becomes subnormal, which would take many times as long.
inline fn exp_bounded(x: F) F {
    const e = reduce_exp(max(min(x, 87.0), -87.0));
    const a = power_of_two(e.n);
    return @mulAdd(F, e.expm1, a, a);
}

pub inline fn log(x: F) F {
    const tiny = x < c(1.1754943508222875e-38);
    const scaled = @select(f32, tiny, x * c(8388608.0), x);
    // Mantissa in [sqrt(1/2), sqrt(2)): the subtraction borrows from the exponent just there.
    const shift: @Vector(simd.lanes, u5) = @splat(23);
    const bits = @as(I, @bitCast(scaled)) -% @as(I, @splat(0x3f3504f3));
    const k = bits >> shift;
    const mantissa_bits = (bits & @as(I, @splat(0x007fffff))) +% @as(I, @splat(0x3f3504f3));
    const f = @as(F, @bitCast(mantissa_bits)) - c(1.0);
    const n = @as(F, @floatFromInt(k)) - @select(f32, tiny, c(23.0), c(0.0));
    const p = poly(F, f, .{
        0.0691560246194, -0.1178977387,  0.118728453755,  -0.123843472267, 0.142186777732,
        -0.166692514648, 0.200022254944, -0.249999865747, 0.333333104607,
    });
    const f2 = f * f;
    var r = @mulAdd(F, f * f2, p, n * c(-2.12194440e-4));
    r = @mulAdd(F, f2, c(-0.5), r);
    r = @mulAdd(F, n, c(0.693359375), f + r);
    const inf = c(std.math.inf(f32));
    r = @select(f32, x == inf, inf, r);
    r = @select(f32, x == c(0.0), -inf, r);
    // Negative or NaN.
    return @select(f32, x >= c(0.0), r, c(std.math.nan(f32)));
}

pub inline fn tanh(x: F) F {
    // tanh x = (e^2x - 1) / (e^2x + 1); e^2x - 1 keeps its relative precision around 0.
    const e = reduce_exp(max(min(x + x, 20.0), -20.0));
    const a = power_of_two(e.n);
    const expm1 = @mulAdd(F, e.expm1, a, a - c(1.0));
    return expm1 / (expm1 + c(2.0));
}

pub inline fn erf(x: F) F {
    const a = min(@abs(x), 4.0);
    const small = x * poly(F, a * a, .{
        7.88912324642e-5, -0.000802084233173, 0.0051895354492, -0.0268544446437,
        0.112836001773,   -0.376126271361,    1.12837916591,
    });
    // erf a = 1 - e^-q(a) for a >= 1.
    const q = poly(F, a, .{
        2.16976164395e-5, -0.000441472685904, 0.00420528496835, -0.0252103404909,
        0.108422101092,   0.633216394992,     1.12958031272,    -0.00018846817274,
    });
    const e = reduce_exp(-q);
    const scale = power_of_two(e.n);
    const large = copysign(c(1.0) - @mulAdd(F, e.expm1, scale, scale), x);
    return @select(f32, a < c(1.0), small, large);
}

inline fn copysign(magnitude: F, sign: F) F {
    const mask: U = @splat(0x80000000);
    return @bitCast((@as(U, @bitCast(magnitude)) & ~mask) | (@as(U, @bitCast(sign)) & mask));
}

pub inline fn sigmoid(x: F) F {
    return c(1.0) / (c(1.0) + exp_bounded(-x));
}

pub inline fn silu(x: F) F {
    return x / (c(1.0) + exp_bounded(-x));
}

pub inline fn silu_grad(x: F) F {
    const s = sigmoid(x);
    return s * @mulAdd(F, max(x, -100.0), c(1.0) - s, c(1.0));
}

const gelu_a = 1.5957691216057308; // 2 sqrt(2 / pi)
const gelu_b = 0.071354816272; // gelu_a * 0.044715

/// x (1 + tanh(u / 2)) / 2 = x sigmoid(u)
pub inline fn gelu_tanh(x: F) F {
    const u = x * @mulAdd(F, x * x, c(gelu_b), c(gelu_a));
    return x / (c(1.0) + exp_bounded(-u));
}

pub inline fn gelu_tanh_grad(x_any: F) F {
    // Beyond 20 the derivative is 0 or 1; the bound keeps inf * 0 away.
    const x = max(min(x_any, 20.0), -20.0);
    const x2 = x * x;
    const u = x * @mulAdd(F, x2, c(gelu_b), c(gelu_a));
    const s = sigmoid(u);
    const du = @mulAdd(F, x2, c(3.0 * gelu_b), c(gelu_a));
    return @mulAdd(F, x * du, s * (c(1.0) - s), s);
}

pub inline fn gelu_erf(x: F) F {
    const half = x * c(0.5);
    return @mulAdd(F, half, erf(x * c(0.7071067811865476)), half);
}

pub inline fn gelu_erf_grad(x: F) F {
    const cdf = @mulAdd(F, c(0.5), erf(x * c(0.7071067811865476)), c(0.5));
    const y = max(min(x, 20.0), -20.0);
    return @mulAdd(F, y * c(0.3989422804014327), exp_bounded(y * y * c(-0.5)), cdf);
}

const Quadrant = struct { r: F, n: I };

/// x = n pi/2 + r, in f64: exact enough for |x| up to 2^30.
inline fn reduce_quadrant(x: F) Quadrant {
    const magic: D = @splat(6755399441055744.0);
    const wide: D = x;
    const shifted = @mulAdd(D, wide, @splat(0.6366197723675814), magic);
    const whole = shifted - magic;
    const r = @mulAdd(D, whole, @splat(-1.5707963267948966), wide);
    const bits: L = @bitCast(shifted);
    return .{
        .r = @floatCast(@mulAdd(D, whole, @splat(-6.123233995736766e-17), r)),
        .n = @truncate(bits),
    };
}

inline fn sin_quadrant(q: Quadrant, comptime offset: i32) F {
    const n = q.n +% @as(I, @splat(offset));
    const r2 = q.r * q.r;
    const s = poly(F, r2, .{
        2.7175645285e-6, -0.000198392566436, 0.00833332914396, -0.166666666396,
    });
    const sine = @mulAdd(F, q.r * r2, s, q.r);
    const k = poly(F, r2, .{
        -2.72033063206e-7, 2.47994364457e-5, -0.00138888834386, 0.0416666666192,
    });
    const cosine = @mulAdd(F, r2 * r2, k, @mulAdd(F, r2, c(-0.5), c(1.0)));
    const odd = (n & @as(I, @splat(1))) != @as(I, @splat(0));
    const negative = (n & @as(I, @splat(2))) != @as(I, @splat(0));
    const value = @select(f32, odd, cosine, sine);
    return @select(f32, negative, -value, value);
}

/// Lanes too large for the vector reduction go one by one.
noinline fn trig_slow(x: F, comptime cosine: bool) F {
    var out: [simd.lanes]f32 = undefined;
    const values: [simd.lanes]f32 = x;
    for (values, &out) |value, *o| o.* = if (cosine) @cos(value) else @sin(value);
    return out;
}

inline fn is_huge(x: F) bool {
    return @reduce(.Or, @abs(x) > c(1.0e9));
}

pub inline fn sin(x: F) F {
    if (is_huge(x)) return trig_slow(x, false);
    return sin_quadrant(reduce_quadrant(x), 0);
}

pub inline fn cos(x: F) F {
    if (is_huge(x)) return trig_slow(x, true);
    return sin_quadrant(reduce_quadrant(x), 1);
}

/// log2 of positive finite x, in f64 with an error of about 1e-12.
inline fn log2_wide(x: F) D {
    const shift: @Vector(simd.lanes, u6) = @splat(52);
    const origin: L = @splat(0x3fe6a09e667f3bcd);
    const bits = @as(L, @bitCast(@as(D, x))) -% origin;
    const k: D = @floatFromInt(bits >> shift);
    const m: D = @bitCast((bits & @as(L, @splat(0x000fffffffffffff))) +% origin);
    const one: D = @splat(1.0);
    const s = (m - one) / (m + one);
    const p = poly(D, s * s, .{
        2.0 / 15.0, 2.0 / 13.0, 2.0 / 11.0, 2.0 / 9.0, 2.0 / 7.0, 2.0 / 5.0, 2.0 / 3.0, 2.0,
    });
    return @mulAdd(D, s * p, @splat(1.4426950408889634), k);
}

inline fn exp2_wide(x: D) F {
    const high: D = @splat(200.0);
    const clamped = @select(f64, x > high, high, @select(f64, x < -high, -high, x));
    const magic: D = @splat(6755399441055744.0);
    const shifted = clamped + magic;
    const r = clamped - (shifted - magic);
    const p = poly(D, r, .{
        1.31758588214e-6, 1.53097372947e-5, 0.000154038517445, 0.00133334520628, 0.00961812854287,
        0.0555041093934,  0.240226506989,   0.693147180547,    1.0,
    });
    const shift: @Vector(simd.lanes, u6) = @splat(52);
    const n = @as(L, @bitCast(shifted)) << shift;
    return @floatCast(@as(D, @bitCast(@as(L, @bitCast(p)) +% n)));
}

/// x^y as in C; through f64, so that large exponents keep their precision.
pub inline fn pow(x: F, y: F) F {
    const zero = c(0.0);
    const one = c(1.0);
    const inf = c(std.math.inf(f32));
    const a = @abs(x);
    var r = exp2_wide(@as(D, y) * log2_wide(a));
    const decays = (y < zero) == (a > one);
    const at_limit = @select(f32, decays, zero, inf);
    const degenerate = @select(f32, a == inf, one, @select(f32, a == zero, one, zero));
    r = @select(f32, degenerate == one, at_limit, r);
    r = @select(f32, @abs(y) == inf, at_limit, r);
    // A negative base needs an integer exponent; an odd one keeps the sign.
    const whole = @floor(y) == y;
    const half = y * c(0.5);
    const odd = @select(f32, @floor(half) == half, zero, @select(f32, whole, one, zero));
    const signed = @select(f32, odd == one, copysign(r, x), r);
    const complex = @select(f32, whole, zero, @select(f32, x < zero, one, zero));
    const finite = @select(f32, a == inf, zero, complex);
    r = @select(f32, finite == one, c(std.math.nan(f32)), signed);
    r = @select(f32, x != x, x, @select(f32, y != y, y, r));
    r = @select(f32, (y == zero), one, r);
    r = @select(f32, x == one, one, r);
    const unit = @select(f32, a == one, one, zero);
    return @select(f32, unit * @select(f32, @abs(y) == inf, one, zero) == one, one, r);
}

const Unary = fn (F) callconv(.@"inline") F;

fn worst_error(
    comptime f: Unary,
    comptime exact: fn (f64) f64,
    low: f64,
    high: f64,
    floor: f64,
) f64 {
    // Relative error, or absolute where the value is below `floor`.
    var worst: f64 = 0;
    const steps = 40000;
    var i: u32 = 0;
    while (i < steps) : (i += simd.lanes) {
        var x: [simd.lanes]f32 = undefined;
        for (&x, 0..) |*v, j| {
            const t = @as(f64, @floatFromInt(i + j)) / steps;
            v.* = @floatCast(low + (high - low) * t);
        }
        const y: [simd.lanes]f32 = f(x);
        for (x, y) |a, b| {
            const e = exact(a);
            worst = @max(worst, @abs(b - e) / @max(@abs(e), floor));
        }
    }
    return worst;
}

const exact_functions = struct {
    fn exp(x: f64) f64 {
        return @exp(x);
    }
    fn log(x: f64) f64 {
        return @log(x);
    }
    fn tanh(x: f64) f64 {
        return std.math.tanh(x);
    }
    fn sin(x: f64) f64 {
        return @sin(x);
    }
    fn cos(x: f64) f64 {
        return @cos(x);
    }
    fn sigmoid(x: f64) f64 {
        return 1.0 / (1.0 + @exp(-x));
    }
    fn silu(x: f64) f64 {
        return x * @This().sigmoid(x);
    }
    /// Series up to 6; beyond, 1.
    fn erf(x: f64) f64 {
        if (@abs(x) > 6.0) return std.math.sign(x);
        var term: f64 = x;
        var sum: f64 = x;
        var n: f64 = 1;
        while (n < 200) : (n += 1) {
            term *= -x * x / n;
            sum += term / (2 * n + 1);
        }
        return sum * 1.1283791670955126;
    }
    fn gelu_tanh(x: f64) f64 {
        return x * @This().sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x));
    }
    fn gelu_erf(x: f64) f64 {
        return 0.5 * x * (1.0 + @This().erf(x * 0.7071067811865476));
    }
    fn derivative(comptime f: fn (f64) f64) fn (f64) f64 {
        return struct {
            fn at(x: f64) f64 {
                const h = 1e-4;
                return (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h);
            }
        }.at;
    }
};

test "elementary functions stay within 3e-7 of f64" {
    const e = exact_functions;
    const limit = 3e-7;
    const tiny = 1e-30;
    try std.testing.expect(worst_error(exp, e.exp, -87, 88.7, tiny) < limit);
    try std.testing.expect(worst_error(exp, e.exp, -1, 1, tiny) < 1.5e-7);
    try std.testing.expect(worst_error(exp_negative, e.exp, -87, 0, tiny) < limit);
    try std.testing.expect(worst_error(log, e.log, 1e-3, 4, tiny) < limit);
    try std.testing.expect(worst_error(log, e.log, 1, 1e6, tiny) < limit);
    try std.testing.expect(worst_error(tanh, e.tanh, -1, 1, tiny) < limit);
    try std.testing.expect(worst_error(tanh, e.tanh, -12, 12, tiny) < limit);
    try std.testing.expect(worst_error(erf, e.erf, -1.1, 1.1, tiny) < limit);
    try std.testing.expect(worst_error(erf, e.erf, -3, 5, tiny) < limit);
    try std.testing.expect(worst_error(sin, e.sin, -3, 3, tiny) < limit);
    try std.testing.expect(worst_error(sin, e.sin, -1e5, 1e5, 1e-3) < limit);
    try std.testing.expect(worst_error(cos, e.cos, -1e5, 1e5, 1e-3) < limit);
}

test "activations and their derivatives" {
    const e = exact_functions;
    try std.testing.expect(worst_error(sigmoid, e.sigmoid, -80, 80, 1e-30) < 3e-7);
    try std.testing.expect(worst_error(silu, e.silu, -80, 80, 1e-30) < 4e-7);
    try std.testing.expect(worst_error(gelu_tanh, e.gelu_tanh, -5, 9, 1e-2) < 1e-6);
    try std.testing.expect(worst_error(gelu_erf, e.gelu_erf, -5, 6, 1e-1) < 1e-6);
    const d_silu = e.derivative(e.silu);
    const d_gelu_tanh = e.derivative(e.gelu_tanh);
    const d_gelu_erf = e.derivative(e.gelu_erf);
    try std.testing.expect(worst_error(silu_grad, d_silu, -30, 30, 0.1) < 2e-6);
    try std.testing.expect(worst_error(gelu_tanh_grad, d_gelu_tanh, -6, 6, 0.1) < 2e-6);
    try std.testing.expect(worst_error(gelu_erf_grad, d_gelu_erf, -5, 5, 0.1) < 2e-6);
}

test "limits and NaN" {
    const inf = std.math.inf(f32);
    const nan = std.math.nan(f32);
    const cases = .{
        .{ exp, 200.0, inf },       .{ exp, inf, inf },             .{ exp, -inf, 0.0 },
        .{ exp, -103.0, 1.4e-45 },  .{ log, 0.0, -inf },            .{ log, inf, inf },
        .{ tanh, inf, 1.0 },        .{ tanh, -inf, -1.0 },          .{ erf, inf, 1.0 },
        .{ erf, -30.0, -1.0 },      .{ gelu_erf_grad, 1e30, 1.0 },  .{ sigmoid, inf, 1.0 },
        .{ gelu_tanh, 1e30, 1e30 }, .{ gelu_tanh_grad, 1e30, 1.0 }, .{ silu_grad, 1e30, 1.0 },
    };
    inline for (cases) |case|
        try std.testing.expectEqual(@as(f32, case[2]), case[0](c(case[1]))[0]);
    inline for (.{ sigmoid, gelu_tanh_grad, gelu_erf_grad, silu_grad }) |f|
        try std.testing.expectApproxEqAbs(0.0, f(c(-inf))[0], 1e-30);
    inline for (.{ exp, log, tanh, erf, sin, cos, sigmoid, silu, gelu_tanh, gelu_erf }) |f|
        try std.testing.expect(std.math.isNan(f(c(nan))[0]));
    try std.testing.expect(std.math.isNan(log(c(-1.0))[0]));
    try std.testing.expectApproxEqRel(@as(f32, @log(1e-40)), log(c(1e-40))[0], 1e-6);
}

test "pow agrees with C" {
    const inf = std.math.inf(f32);
    const bases = [_]f32{ 0, 1, -1, 0.5, 2, -2, 3.7, 1e-20, 1e30, -7.5, inf, -inf };
    const exponents = [_]f32{ 0, 1, -1, 2, 3, -3, 0.5, -0.5, 7.25, 40, inf, -inf };
    for (bases) |x| for (exponents) |y| {
        const got = pow(@splat(x), @splat(y))[0];
        const want: f32 = @floatCast(std.math.pow(f64, x, y));
        if (std.math.isNan(want)) {
            try std.testing.expect(std.math.isNan(got));
        } else if (std.math.isInf(want) or want == 0) {
            try std.testing.expectEqual(want, got);
        } else try std.testing.expectApproxEqRel(want, got, 3e-7);
    };
    try std.testing.expect(std.math.isNan(pow(c(std.math.nan(f32)), c(2.0))[0]));
}
