//! Shared by kernels that work row by row ([M, C] with C innermost): fixed tiles of rows, vector reductions whose
//! order depends on C and the level only, tails, and the operand checks they have in common.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("kernel.zig");
const simd = @import("simd.zig");
const math = @import("math.zig");
const strided = @import("strided.zig");

const Operand = abi.Operand;
const Instruction = abi.Instruction;
pub const F = simd.F;
pub const lanes = simd.lanes;

/// Rows of a partial sum over rows (dweight, dbias). Part of the contract with `lower`: it sizes the workspace.
pub const partial_rows = 32;
/// Columns that one tile of the final reduction over partial sums handles.
pub const reduce_columns = 256;

pub inline fn splat(x: f32) F {
    return @splat(x);
}

/// How `f32` or `bf16` operands are stored.
pub fn Storage(comptime dtype: abi.Dtype) type {
    return switch (dtype) {
        .f32 => f32,
        .bf16 => u16,
        else => unreachable,
    };
}

pub const float_dtypes = [_]abi.Dtype{ .f32, .bf16 };

/// About 16 Ki elements a tile: small enough to share, large enough that claiming costs nothing.
pub fn rows_per_tile(c: u64) u64 {
    return @max(1, 16384 / @max(1, c));
}

pub const Range = struct { start: u64, end: u64 };

pub fn tile_range(tile: u32, size: u64, total: u64) Range {
    const start = @as(u64, tile) * size;
    std.debug.assert(start < total);
    return .{ .start = start, .end = @min(total, start + size) };
}

pub fn tile_count(total: u64, size: u64) u32 {
    return @intCast(std.math.divCeil(u64, total, size) catch unreachable);
}

/// Sum of all lanes in a fixed tree.
pub inline fn sum(v: F) f32 {
    return fold(lanes, v, add_vector);
}

pub inline fn max_lanes(v: F) f32 {
    return fold(lanes, v, max_vector);
}

inline fn fold(comptime n: comptime_int, v: Vector(n), comptime op: anytype) f32 {
    if (n == 1) return v[0];
    const half = n / 2;
    const low = @shuffle(f32, v, undefined, std.simd.iota(i32, half));
    const upper = std.simd.iota(i32, half) + @as(@Vector(half, i32), @splat(half));
    const high = @shuffle(f32, v, undefined, upper);
    return fold(half, op(half, low, high), op);
}

fn Vector(comptime n: comptime_int) type {
    return @Vector(n, f32);
}

inline fn add_vector(comptime n: comptime_int, a: Vector(n), b: Vector(n)) Vector(n) {
    return a + b;
}

/// One instruction; where an operand is NaN the result is b.
inline fn max_vector(comptime n: comptime_int, a: Vector(n), b: Vector(n)) Vector(n) {
    return @select(f32, a > b, a, b);
}

pub inline fn max2(a: F, b: F) F {
    return max_vector(lanes, a, b);
}

/// The first n < lanes elements, the other lanes `fill`.
pub inline fn load_part(comptime T: type, p: [*]const T, n: usize, fill: f32) F {
    std.debug.assert(n < lanes);
    var out: [lanes]f32 = @splat(fill);
    for (0..n) |i| out[i] = simd.load_one(T, p, i);
    return out;
}

pub inline fn store_part(comptime T: type, p: [*]T, n: usize, x: F) void {
    std.debug.assert(n < lanes);
    const values: [lanes]f32 = x;
    for (0..n) |i| simd.store_one(T, p, i, values[i]);
}

/// The vector at i of a row of c elements; lanes beyond the row are `fill`.
pub inline fn load_at(comptime T: type, p: [*]const T, i: usize, c: usize, fill: f32) F {
    return if (i + lanes <= c) simd.load(T, p + i) else load_part(T, p + i, c - i, fill);
}

pub inline fn store_at(comptime T: type, p: [*]T, i: usize, c: usize, x: F) void {
    if (i + lanes <= c) simd.store(T, p + i, x) else store_part(T, p + i, c - i, x);
}

/// log-sum-exp of a row in two parts: the largest element, and the sum of exp(x - largest).
pub const Lse = struct {
    max: f32,
    sum: f32,

    pub fn value(l: Lse) f32 {
        return l.max + @log(l.sum);
    }
};

/// Reads the row from memory once: blocks that fit the first cache are scanned twice, and the running sum is
/// rescaled when a block brings a larger maximum.
pub fn row_lse(comptime T: type, x: [*]const T, c: u64) Lse {
    const block = 2048;
    const inf = std.math.inf(f32);
    var running = Lse{ .max = -inf, .sum = 0 };
    var start: u64 = 0;
    while (start < c) : (start += block) {
        const n = @min(block, c - start);
        const top = @max(running.max, block_max(T, x + start, n));
        // A row of -inf alone has no finite shift; 0 leaves the sum at 0 and the result at -inf.
        const shift = if (top == -inf) 0 else top;
        if (running.sum != 0) running.sum *= @exp(running.max - shift);
        running.sum += block_sum_exp(T, x + start, n, shift);
        running.max = top;
    }
    return running;
}

fn block_max(comptime T: type, x: [*]const T, c: u64) f32 {
    const low = splat(-std.math.inf(f32));
    var m: [4]F = @splat(low);
    var i: u64 = 0;
    while (i + 4 * lanes <= c) : (i += 4 * lanes) {
        inline for (0..4) |k| m[k] = max2(m[k], simd.load(T, x + i + k * lanes));
    }
    while (i < c) : (i += lanes) m[0] = max2(m[0], load_at(T, x, i, c, -std.math.inf(f32)));
    return max_lanes(max2(max2(m[0], m[1]), max2(m[2], m[3])));
}

fn block_sum_exp(comptime T: type, x: [*]const T, c: u64, shift: f32) f32 {
    var s: [4]F = @splat(splat(0));
    const v = splat(shift);
    var i: u64 = 0;
    while (i + 4 * lanes <= c) : (i += 4 * lanes) {
        inline for (0..4) |k| {
            // The next block (or row) comes in meanwhile; past the end of the memory this does nothing.
            @prefetch(x + c + i + k * lanes, .{});
            s[k] += exp_shifted(simd.load(T, x + i + k * lanes), v);
        }
    }
    while (i < c) : (i += lanes) s[0] += exp_shifted(load_at(T, x, i, c, -std.math.inf(f32)), v);
    return sum((s[0] + s[1]) + (s[2] + s[3]));
}

/// exp(x - shift) for x <= shift: exactly 0 far below, NaN where x is NaN.
pub inline fn exp_shifted(x: F, shift: F) F {
    const d = x - shift;
    return @select(f32, d < splat(-87.0), splat(0), math.exp_negative(d));
}

// --- Operand checks -------------------------------------------------------------------------------------------

pub const Problem = ?[*:0]const u8;

pub fn is_f32(o: *const Operand) bool {
    return o.dtype == .f32;
}

/// Contiguous and of a size that index arithmetic can take.
pub fn is_plain(o: *const Operand) bool {
    return strided.is_dense(o);
}

/// Contiguous [.., C] with a non-empty last dimension.
pub fn is_rows(o: *const Operand) bool {
    if (o.rank == 0 or o.dims[o.rank - 1] == 0 or !is_plain(o)) return false;
    return kernel.row_count(o) <= std.math.maxInt(u32);
}

pub fn is_result(o: *const Operand) bool {
    return o.output == 1;
}

/// Contiguous f32 with `n` elements.
pub fn is_vector(o: *const Operand, n: u64) bool {
    return is_f32(o) and is_plain(o) and o.count() == n;
}

pub fn workspace_holds(ins: *const Instruction, n: u64) bool {
    if (ins.has_workspace != 1) return false;
    const w = ins.workspace();
    return is_result(w) and abi.dtype_bytes(w.dtype) == 4 and is_plain(w) and w.count() >= n;
}

/// Operand count without the workspace.
pub fn has_operands(ins: *const Instruction, n: u32) bool {
    return ins.operand_count == n + ins.has_workspace and ins.has_workspace <= 1;
}

/// Class of a row from operand `index` (i32 or u32): null for ignore (i32 -1) and, after failing the program, for
/// anything else outside [0, classes). The value is read once, so memory that changes meanwhile does no harm.
pub fn read_target(
    t: *kernel.Thread,
    ins: *const Instruction,
    index: u32,
    row: u64,
    classes: u64,
) ?u64 {
    const o = ins.operand(index);
    const value: i64 = switch (o.dtype) {
        .i32 => @as(*const volatile i32, &o.ptr(i32)[row]).*,
        .u32 => @as(*const volatile u32, &o.ptr(u32)[row]).*,
        else => unreachable,
    };
    if (value >= 0 and value < classes) return @intCast(value);
    if (value != -1) t.fail(ins, .index_out_of_range, row, value);
    return null;
}

// --- Two-stage column sums ------------------------------------------------------------------------------------

/// out[c] = sum over `blocks` of partial[block * stride + c], blocks in ascending order, columns [start, end).
pub fn reduce_blocks(
    partial: [*]const f32,
    blocks: u64,
    stride: u64,
    start: u64,
    end: u64,
    out: [*]f32,
) void {
    std.debug.assert(start <= end);
    std.debug.assert(end <= stride);
    var i = start;
    while (i + 4 * lanes <= end) : (i += 4 * lanes) {
        var s: [4]F = @splat(splat(0));
        for (0..blocks) |b| {
            inline for (0..4) |k| s[k] += simd.load(f32, partial + b * stride + i + k * lanes);
        }
        inline for (0..4) |k| simd.store(f32, out + i + k * lanes, s[k]);
    }
    while (i < end) : (i += lanes) {
        var s = splat(0);
        for (0..blocks) |b| s += load_at(f32, partial + b * stride, i, end, 0);
        store_at(f32, out, i, end, s);
    }
}

test "lane sums, maxima and log-sum-exp" {
    var values: [lanes]f32 = undefined;
    for (&values, 0..) |*v, i| v.* = @floatFromInt(i);
    const n: f32 = lanes;
    try std.testing.expectEqual(n * (n - 1) / 2, sum(values));
    try std.testing.expectEqual(n - 1, max_lanes(values));
    var row: [5000]f32 = undefined;
    var exact: f64 = 0;
    for (&row, 0..) |*v, i| {
        v.* = @floatCast(
            30.0 * @sin(@as(f64, @floatFromInt(i)) * 0.37) + @as(f64, @floatFromInt(i)) * 0.01,
        );
        exact += @exp(@as(f64, v.*));
    }
    try std.testing.expectApproxEqRel(@log(exact), row_lse(f32, &row, row.len).value(), 1e-6);
    @memset(row[0..], -std.math.inf(f32));
    try std.testing.expectEqual(-std.math.inf(f32), row_lse(f32, &row, 100).value());
}
