//! rope: rotary embedding with half-split pairs (i, i + d/2), d = rotary dims; angle = position * theta^(-2i/d).
//! Angles and their reduction are f64, so positions up to 2^32 keep full f32 accuracy. Dims from d on are copied.
//! check: x, y f32|bf16 [B, T, H, D] with D contiguous, same dims, any other strides, y may be x (same strides and dtype);
//! positions i32|u32 [B, T] with any strides (0 repeats). words: theta f32 > 0, inverse 0|1, rotary dims even, 2 <= d <= D, and where
//! the rotation is scaled: magnitude f32 > 0, then d/2 factors > 0 on the frequencies, each an f64 in two words, low first.
//! Workspace: none. Private scratch: 16 bytes * (d/2 rounded up to 16) = see `scratch`.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const rows = @import("../cpu/rows.zig");
const simd = @import("../cpu/simd.zig");

const F = rows.F;
const lanes = rows.lanes;
const D = @Vector(lanes, f64);

/// Positions of one tile; the table of a position serves all batches that share it.
const positions_per_tile = 16;

fn check(ins: *const kernel.Instruction) callconv(.c) rows.Problem {
    if (ins.word_count < 3) return "words must be theta, inverse, rotary dims";
    if (!rows.has_operands(ins, 3)) return "expected x, positions -> y";
    const x = ins.operand(0);
    const positions = ins.operand(1);
    const y = ins.operand(2);
    if (!simd.is_float(x.dtype) or x.rank != 4 or !is_inner_contiguous(x))
        return "x must be f32 or bf16 [B, T, H, D], D contiguous";
    if (!simd.is_float(y.dtype) or !kernel.same_dims(x, y) or
        !is_inner_contiguous(y) or !rows.is_result(y))
        return "y must be a f32 or bf16 result with the dims of x, D contiguous";
    if (!simd.is_index(positions.dtype) or positions.rank != 2)
        return "positions must be i32 or u32 [B, T]";
    if (positions.dims[0] != x.dims[0] or positions.dims[1] != x.dims[1])
        return "positions must be [B, T] of x";
    const theta = ins.float(0);
    if (!(theta > 0) or std.math.isInf(theta)) return "theta must be positive and finite";
    if (ins.word(1) > 1) return "inverse must be 0 or 1";
    const d = ins.word(2);
    if (d < 2 or d % 2 != 0 or d > x.dims[3] or d > 1 << 20)
        return "rotary dims must be even, between 2 and D";
    if (ins.word_count == 3) return null;
    if (ins.word_count != 4 + d) return "a scaling must be a magnitude and a factor a pair";
    if (!is_scale(ins.float(3))) return "magnitude must be positive and finite";
    for (0..d / 2) |i|
        if (!is_scale(factor(ins, i))) return "factors must be positive and finite";
    return null;
}

fn is_scale(x: f64) bool {
    return x > 0 and !std.math.isInf(x);
}

/// On the frequency of pair `i`.
fn factor(ins: *const kernel.Instruction, i: usize) f64 {
    if (ins.word_count == 3 or i >= ins.word(2) / 2) return 1;
    const high: u64 = ins.word(5 + 2 * i);
    return @bitCast(high << 32 | ins.word(4 + 2 * i));
}

fn is_inner_contiguous(o: *const abi.Operand) bool {
    return o.dims[3] == 1 or o.strides[3] == 1;
}

fn padded_pairs(ins: *const kernel.Instruction) u64 {
    return std.mem.alignForward(u64, ins.word(2) / 2, 16);
}

/// f64 frequency, f32 cosine and f32 sine of each pair.
fn scratch(ins: *const kernel.Instruction) callconv(.c) u64 {
    return padded_pairs(ins) * (8 + 4 + 4);
}

const Table = struct {
    frequency: []f64,
    cosine: []f32,
    sine: []f32,

    fn of(t: *kernel.Thread, ins: *const kernel.Instruction) Table {
        const n = padded_pairs(ins);
        const table = Table{
            .frequency = t.scratch_slice(f64, 0, n),
            .cosine = t.scratch_slice(f32, n * 8, n),
            .sine = t.scratch_slice(f32, n * 12, n),
        };
        const theta: f64 = ins.float(0);
        const d: f64 = @floatFromInt(ins.word(2));
        for (table.frequency, 0..) |*f, i|
            f.* = std.math.pow(f64, theta, -2.0 * @as(f64, @floatFromInt(i)) / d) * factor(ins, i);
        return table;
    }

    fn fill(table: *const Table, position: i64, ins: *const kernel.Instruction) void {
        const at: D = @splat(@floatFromInt(position));
        const magnitude: f32 = if (ins.word_count == 3) 1 else ins.float(3);
        const along = rows.splat(magnitude);
        const across = rows.splat(if (ins.word(1) == 1) -magnitude else magnitude);
        var i: u64 = 0;
        while (i < table.frequency.len) : (i += lanes) {
            const result = sin_cos(at * @as(D, table.frequency[i..][0..lanes].*));
            simd.store(f32, table.cosine.ptr + i, result.cosine * along);
            simd.store(f32, table.sine.ptr + i, result.sine * across);
        }
    }
};

const SinCos = struct { sine: F, cosine: F };

/// Both at once: the angle is reduced to [-pi/4, pi/4] in f64, the polynomials are f32.
inline fn sin_cos(angle: D) SinCos {
    const quarter = @round(angle * @as(D, @splat(2.0 / std.math.pi)));
    var reduced = @mulAdd(D, quarter, @splat(-1.5707963267948966), angle);
    reduced = @mulAdd(D, quarter, @splat(-6.123233995736766e-17), reduced);
    const r: F = @floatCast(reduced);
    // Quadrant as a float in {0, 1, 2, 3}: no conversion that could trap on huge or NaN angles.
    const turns = @floor(quarter * @as(D, @splat(0.25)));
    const quadrant: F = @floatCast(quarter - @as(D, @splat(4.0)) * turns);
    const r2 = r * r;
    const s = poly(r2, .{ 2.7175645285e-6, -0.000198392566436, 0.00833332914396, -0.166666666396 });
    const sine = @mulAdd(F, r * r2, s, r);
    const k = poly(
        r2,
        .{ -2.72033063206e-7, 2.47994364457e-5, -0.00138888834386, 0.0416666666192 },
    );
    const cosine = @mulAdd(F, r2 * r2, k, @mulAdd(F, r2, rows.splat(-0.5), rows.splat(1)));
    const in_first = quadrant == rows.splat(0);
    const in_second = quadrant == rows.splat(1);
    const in_third = quadrant == rows.splat(2);
    const sine_late = @select(f32, in_third, -sine, -cosine);
    const cosine_late = @select(f32, in_third, -cosine, sine);
    return .{
        .sine = @select(f32, in_first, sine, @select(f32, in_second, cosine, sine_late)),
        .cosine = @select(f32, in_first, cosine, @select(f32, in_second, -sine, cosine_late)),
    };
}

inline fn poly(x: F, comptime coefficients: anytype) F {
    var r: F = @splat(coefficients[0]);
    inline for (1..coefficients.len) |i| r = @mulAdd(F, r, x, @splat(coefficients[i]));
    return r;
}

fn run(t: *kernel.Thread, ins: *const kernel.Instruction) callconv(.c) void {
    const x = ins.operand(0);
    const y = ins.operand(2);
    const table = Table.of(t, ins);
    const steps = x.dims[1];
    const tiles = rows.tile_count(steps, positions_per_tile);
    while (t.claim(tiles)) |tile| {
        const range = rows.tile_range(tile, positions_per_tile, steps);
        inline for (rows.float_dtypes) |from| inline for (rows.float_dtypes) |to| {
            if (x.dtype == from and y.dtype == to)
                run_tile(rows.Storage(from), rows.Storage(to), ins, &table, range);
        };
    }
}

fn run_tile(
    comptime X: type,
    comptime Y: type,
    ins: *const kernel.Instruction,
    table: *const Table,
    range: rows.Range,
) void {
    const x = ins.operand(0);
    const y = ins.operand(2);
    var known: ?i64 = null;
    for (range.start..range.end) |step| for (0..x.dims[0]) |batch| {
        const position = read_position(ins.operand(1), batch, step);
        if (known != position) table.fill(position, ins);
        known = position;
        for (0..x.dims[2]) |head| {
            const from = x.ptr(X) + offset(x, batch, step, head);
            const to = y.ptr(Y) + offset(y, batch, step, head);
            rotate(X, Y, from, to, ins.word(2), x.dims[3], table);
        }
    };
}

fn offset(o: *const abi.Operand, batch: u64, step: u64, head: u64) u64 {
    return batch * o.strides[0] + step * o.strides[1] + head * o.strides[2];
}

fn read_position(o: *const abi.Operand, batch: u64, step: u64) i64 {
    const at = batch * o.strides[0] + step * o.strides[1];
    return if (o.dtype == .i32) o.ptr(i32)[at] else o.ptr(u32)[at];
}

inline fn rotate(
    comptime X: type,
    comptime Y: type,
    x: [*]const X,
    y: [*]Y,
    d: u64,
    size: u64,
    table: *const Table,
) void {
    const half = d / 2;
    var i: u64 = 0;
    while (i < half) : (i += lanes) {
        const a = rows.load_at(X, x, i, half, 0);
        const b = rows.load_at(X, x + half, i, half, 0);
        const cosine = simd.load(f32, table.cosine.ptr + i);
        const sine = simd.load(f32, table.sine.ptr + i);
        rows.store_at(Y, y, i, half, @mulAdd(F, a, cosine, -(b * sine)));
        rows.store_at(Y, y + half, i, half, @mulAdd(F, b, cosine, a * sine));
    }
    for (d..size) |rest| simd.store_one(Y, y, rest, simd.load_one(X, x, rest));
}

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .rope, .run = run, .check = check, .scratch = scratch },
};
