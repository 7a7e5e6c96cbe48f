//! The product of very few rows (decoding a token or several): what counts is to read B once, in the order in which it
//! lies, along its rows or along its columns. Sums run over k exactly as in gemm_kernel.zig and gemm.zig, so that the
//! number of rows never changes a bit. Work: claims of some columns, all of k.
const std = @import("std");
const block_file = @import("attention_block.zig");
const gemm_epilogue = @import("gemm_epilogue.zig");
const gemm_plan = @import("gemm_plan.zig");
const kernel = @import("kernel.zig");
const rows = @import("rows.zig");
const simd = @import("simd.zig");

const Plan = gemm_plan.Plan;
const Problem = gemm_plan.Problem;
const Output = gemm_epilogue.Output;
const lanes = simd.lanes;
const F = simd.F;
const U = simd.U;

pub const rows_max = 8;
/// Elements of the sums of one claim (rows times columns): a part of the first cache.
const sums_max = 4096;
const columns_max = 1024;
const columns_wanted = 384;
/// Elements of A that are converted before they are used.
const a_max = 65536;
/// Rows of B that are added up at a time: streams that the hardware follows.
const group = 16;

pub fn suits(p: *const Problem) bool {
    if (p.m > rows_max or p.pairs()) return false;
    if (p.b.v_stride != 1 and p.b.k_stride != 1) return false;
    return a_is_direct(p) or p.m * p.k <= a_max;
}

/// A can be read where it lies.
fn a_is_direct(p: *const Problem) bool {
    return p.a.dtype == .f32 and !p.rounds and p.a.k_stride == 1;
}

/// Sums of one block and of all so far, and A as f32.
pub fn scratch_bytes(p: *const Problem) usize {
    const a = if (a_is_direct(p)) 0 else p.m * p.k;
    return 4 * (2 * sums_max + std.mem.alignForward(usize, a, lanes));
}

/// A as f32 [m][k].
const Left = struct {
    data: [*]const f32,
    stride: usize,

    fn of(t: *kernel.Thread, p: *const Problem, batch: usize) Left {
        const source = p.a.source(batch, 0, 0);
        if (a_is_direct(p))
            return .{ .data = @ptrCast(@alignCast(source.data)), .stride = p.a.v_stride };
        const to = t.scratch_slice(f32, 4 * 2 * sums_max, p.m * p.k);
        for (0..p.m) |i| for (0..p.k) |k| {
            to[i * p.k + k] = p.a.value(batch, k, i, p.rounds);
        };
        return .{ .data = to.ptr, .stride = p.k };
    }
};

/// Some columns of the product of one batch element.
const Tile = struct {
    p: *const Problem,
    plan: Plan,
    batch: usize,
    left: Left,
    first: usize,
    columns: usize,
    /// [m][columns_max]: sums of a block, and of all blocks so far.
    part: [*]f32,
    total: [*]f32,
    stride: usize,
    out: Output,
    /// Columns whose residual joins the first block's sums, as in gemm.zig.
    plain: usize,
};

pub fn run(t: *kernel.Thread, p: *const Problem) void {
    std.debug.assert(suits(p));
    const plan = Plan.of(p, 1);
    const stride = @min(columns_max, sums_max / p.m / lanes * lanes);
    // The same number of claims for every thread, each wide enough for rows of B to be read in one go.
    const each = @max(1, p.n / (t.count * columns_wanted));
    const wanted = gemm_plan.div_up(p.n, each * t.count);
    const width = @min(stride, @max(64, std.mem.alignForward(usize, wanted, lanes)));
    const across = gemm_plan.div_up(p.n, width);
    const sums = t.scratch_slice(f32, 0, 2 * sums_max);
    var left: Left = undefined;
    var known: ?usize = null;
    while (t.claim(@intCast(across * p.batch))) |index| {
        const batch = index / across;
        if (known != batch) left = .of(t, p, batch);
        known = batch;
        const first = index % across * width;
        const columns = @min(width, p.n - first);
        const out = p.out.batch(batch, p.out_batch, p.aux_batch, p.residual_batch);
        const tile = Tile{
            .p = p,
            .plan = plan,
            .batch = batch,
            .left = left,
            .first = first,
            .columns = columns,
            .part = sums.ptr,
            .total = sums.ptr + sums_max,
            .stride = stride,
            .out = out,
            .plain = if (out.is_plain()) @min(columns, plain_end(p, &plan) -| first) else 0,
        };
        switch (p.m) {
            inline 1...rows_max => |m| run_tile(m, &tile),
            else => unreachable,
        }
    }
}

/// gemm.zig stores panels of whole vectors by itself; the last one may have a rest.
fn plain_end(p: *const Problem, plan: *const Plan) usize {
    return if (p.n % lanes == 0) p.n else p.n - p.n % plan.width;
}

fn run_tile(comptime m: usize, tile: *const Tile) void {
    const p = tile.p;
    if (p.b.dtype == .bf16) {
        Few(m, u16, false).run(tile);
    } else if (p.rounds) {
        Few(m, f32, true).run(tile);
    } else Few(m, f32, false).run(tile);
    var joined = tile.out;
    joined.residual = null;
    const rest = tile.columns - tile.plain;
    const at = tile.first + tile.plain;
    if (tile.plain > 0)
        gemm_epilogue.finish(&joined, tile.total, tile.stride, 0, tile.first, m, tile.plain);
    if (rest > 0)
        gemm_epilogue.finish(&tile.out, tile.total + tile.plain, tile.stride, 0, at, m, rest);
}

fn Few(comptime m: usize, comptime Stored: type, comptime rounds: bool) type {
    return struct {
        fn run(tile: *const Tile) void {
            if (tile.p.b.v_stride == 1) by_rows(tile) else by_columns(tile);
        }

        inline fn start(tile: *const Tile, k: usize, column: usize) [*]const Stored {
            const source = tile.p.b.source(tile.batch, k, tile.first + column);
            return @ptrCast(@alignCast(source.data));
        }

        inline fn residual(tile: *const Tile, i: usize, column: usize) F {
            const from = tile.out.residual_f32(i, tile.first + column) orelse return @splat(0);
            return from[0..lanes].*;
        }

        // --- Rows of B are dense -----------------------------------------------------------------

        fn by_rows(tile: *const Tile) void {
            const padded = std.mem.alignForward(usize, tile.columns, lanes);
            for (0..tile.plan.blocks) |block| {
                const k0 = tile.plan.block_start(block);
                for (0..m) |i| @memset(tile.part[i * tile.stride ..][0..padded], 0);
                add_rows(tile, k0, k0 + tile.plan.block_size(block));
                for (0..m) |i| {
                    var j: usize = 0;
                    while (j < padded) : (j += lanes) {
                        const at = i * tile.stride + j;
                        var sum: F = tile.part[at..][0..lanes].*;
                        if (block > 0) sum += tile.total[at..][0..lanes].*;
                        const joins = block == 0 and j < tile.plain and tile.out.residual != null;
                        if (joins) sum += residual(tile, i, j);
                        tile.total[at..][0..lanes].* = sum;
                    }
                }
            }
        }

        /// Vectors side by side whose sums stay in registers.
        const vectors = if (m <= 2) 8 / scale else if (m <= 4) 4 / scale else 2 / scale;
        const scale = if (simd.has_avx512) 1 else 2;

        fn add_rows(tile: *const Tile, k0: usize, k1: usize) void {
            const unit = vectors * lanes;
            var k = k0;
            while (k < k1) : (k += group) {
                const strip = Strip{
                    .a = tile.left.data + k,
                    .a_stride = tile.left.stride,
                    .b = start(tile, k, 0),
                    .b_stride = tile.p.b.k_stride,
                    .part = tile.part,
                    .part_stride = tile.stride,
                    .count = @min(group, k1 - k),
                };
                var j: usize = 0;
                while (j + unit <= tile.columns) : (j += unit) strip.add(vectors, j, lanes);
                while (j + lanes <= tile.columns) : (j += lanes) strip.add(1, j, lanes);
                if (j < tile.columns) strip.add(1, j, tile.columns - j);
            }
        }

        /// Some rows of B, and where their products go.
        const Strip = struct {
            a: [*]const f32,
            a_stride: usize,
            b: [*]const Stored,
            b_stride: usize,
            part: [*]f32,
            part_stride: usize,
            count: usize,

            /// Adds to the sums of `width` vectors of columns from j on; of a single one `n` columns may exist.
            inline fn add(s: Strip, comptime width: usize, j: usize, n: usize) void {
                var acc: [m][width]F = undefined;
                inline for (0..m) |i| inline for (0..width) |v| {
                    acc[i][v] = s.part[i * s.part_stride + j + v * lanes ..][0..lanes].*;
                };
                var from = s.b + j;
                var a = s.a;
                for (0..s.count) |_| {
                    inline for (0..width) |v| {
                        const at = from + v * lanes;
                        @prefetch(at + group * s.b_stride, .{ .locality = 2 });
                        const whole = n == lanes;
                        const x = if (whole) simd.load(Stored, at) else part_of(at, n);
                        const b = if (rounds) block_file.round_bf16(x) else x;
                        inline for (0..m) |i| {
                            const left: F = @splat(a[i * s.a_stride]);
                            acc[i][v] = @mulAdd(F, left, b, acc[i][v]);
                        }
                    }
                    from += s.b_stride;
                    a += 1;
                }
                inline for (0..m) |i| inline for (0..width) |v| {
                    s.part[i * s.part_stride + j + v * lanes ..][0..lanes].* = acc[i][v];
                };
            }
        };

        inline fn part_of(at: [*]const Stored, n: usize) F {
            return rows.load_part(Stored, at, n, 0);
        }

        // --- Columns of B are dense --------------------------------------------------------------

        /// k steps that one vector of a column holds.
        const depth = if (Stored == f32) lanes else 2 * lanes;

        fn by_columns(tile: *const Tile) void {
            var j: usize = 0;
            while (j + lanes <= tile.columns) : (j += lanes) columns_at(true, tile, j);
            if (j < tile.columns) columns_at(false, tile, j);
        }

        /// One vector of columns, `whole` or what is left of the tile.
        fn columns_at(comptime whole: bool, tile: *const Tile, j: usize) void {
            const valid = if (whole) lanes else tile.columns - j;
            var total: [m]F = undefined;
            for (0..tile.plan.blocks) |block| {
                const k0 = tile.plan.block_start(block);
                const k1 = k0 + tile.plan.block_size(block);
                var acc = add_columns(whole, tile, j, valid, k0, k1);
                const joins = block == 0 and j < tile.plain and tile.out.residual != null;
                inline for (0..m) |i| {
                    if (block > 0) acc[i] += total[i];
                    if (joins) acc[i] += residual(tile, i, j);
                    total[i] = acc[i];
                }
            }
            inline for (0..m) |i| tile.total[i * tile.stride + j ..][0..lanes].* = total[i];
        }

        inline fn add_columns(
            comptime whole: bool,
            tile: *const Tile,
            j: usize,
            valid: usize,
            k0: usize,
            k1: usize,
        ) [m]F {
            const stride = tile.p.b.v_stride;
            const a_stride = tile.left.stride;
            var sums: [m]F = @splat(@splat(0));
            var a = tile.left.data + k0;
            var b = start(tile, k0, j);
            var left = k1 - k0;
            while (left >= depth) : (left -= depth) {
                var square: [lanes]F = undefined;
                var from = b;
                inline for (0..lanes) |v| {
                    // The next columns at the same k.
                    @prefetch(from + lanes * stride, .{ .locality = 2 });
                    square[v] = load_words(from);
                    if (whole or v + 1 < valid) from += stride;
                }
                block_file.transpose(&square);
                inline for (0..lanes) |s| step(&sums, a + s * (depth / lanes), a_stride, square[s]);
                a += depth;
                b += depth;
            }
            while (left > 0) : (left -= 1) {
                var column: [lanes]f32 = @splat(0);
                for (0..valid) |v| column[v] = simd.load_one(Stored, b, v * stride);
                add_step(&sums, a, a_stride, column);
                a += 1;
                b += 1;
            }
            return sums;
        }

        inline fn load_words(from: [*]const Stored) F {
            if (Stored == f32) return from[0..lanes].*;
            const pairs: @Vector(2 * lanes, u16) = from[0 .. 2 * lanes].*;
            return @bitCast(pairs);
        }

        /// A vector of columns: one k, or two in the halves of each word.
        inline fn step(sums: *[m]F, a: [*]const f32, a_stride: usize, words: F) void {
            if (Stored == f32) return add_step(sums, a, a_stride, words);
            const bits: U = @bitCast(words);
            const shift: @Vector(lanes, u5) = @splat(16);
            add_step(sums, a, a_stride, @bitCast(bits << shift));
            add_step(sums, a + 1, a_stride, @bitCast(bits & @as(U, @splat(0xffff0000))));
        }

        inline fn add_step(sums: *[m]F, a: [*]const f32, a_stride: usize, x: F) void {
            const v = if (rounds) block_file.round_bf16(x) else x;
            inline for (0..m) |i|
                sums[i] = @mulAdd(F, @splat(a[i * a_stride]), v, sums[i]);
        }
    };
}
