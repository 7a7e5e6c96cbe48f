//! How one matrix product is cut up. Along k: blocks that depend on K, dtype and level alone, since
//! they decide the order of the sums. Along m and n: tiles that threads claim, of any size.
//! The smaller operand is packed once by all threads into the workspace (if it fits there), the
//! larger one by each thread tile by tile into its scratch, so that it is in cache when used.
const std = @import("std");
const abi = @import("../abi.zig");
const gemm_kernel = @import("gemm_kernel.zig");
const gemm_pack = @import("gemm_pack.zig");
const simd = @import("simd.zig");
const Output = @import("gemm_epilogue.zig").Output;

const lanes = simd.lanes;

/// An operand; v is m for A and n for B. Strides in elements.
pub const Side = struct {
    data: [*]const u8,
    dtype: abi.Dtype,
    batch_stride: usize = 0,
    k_stride: usize,
    v_stride: usize,

    pub fn source(s: *const Side, batch: usize, k: usize, v: usize) gemm_pack.Source {
        const all: gemm_pack.Source = .{
            .data = s.data + batch * s.batch_stride * abi.dtype_bytes(s.dtype),
            .dtype = s.dtype,
            .k_stride = s.k_stride,
            .v_stride = s.v_stride,
        };
        return all.at(k, v);
    }
};

pub const Problem = struct {
    batch: usize = 1,
    m: usize,
    n: usize,
    k: usize,
    a: Side,
    b: Side,
    /// Operands are rounded to bf16 (compute = bf16).
    rounds: bool,
    out: Output,
    out_batch: usize = 0,
    aux_batch: usize = 0,
    residual_batch: usize = 0,
    /// Memory that all threads share during this product; none is fine.
    workspace: []align(64) u8 = &.{},

    pub fn pairs(p: *const Problem) bool {
        return p.rounds and simd.has_bf16;
    }

    pub fn steps(p: *const Problem) usize {
        return if (p.pairs()) gemm_pack.steps_of(u32, p.k) else p.k;
    }
};

/// `count` rows cut into panels of at most `height_max` rows of nearly equal height.
pub const Rows = struct {
    base: usize,
    extra: usize,
    panels: usize,

    pub fn of(count: usize, height_max: usize) Rows {
        const panels = div_up(count, height_max);
        std.debug.assert(panels > 0);
        return .{ .base = count / panels, .extra = count % panels, .panels = panels };
    }
    pub fn start(r: Rows, panel: usize) usize {
        return panel * r.base + @min(panel, r.extra);
    }
    pub fn height(r: Rows, panel: usize) usize {
        return r.base + @intFromBool(panel < r.extra);
    }
};

/// `count` columns cut into panels of `width` and a rest, padded to whole vectors.
pub const Columns = struct {
    width: usize,
    full: usize,
    rest: usize,

    pub fn of(count: usize, width: usize) Columns {
        return .{ .width = width, .full = count / width, .rest = count % width };
    }
    pub fn panels(c: Columns) usize {
        return c.full + @intFromBool(c.rest > 0);
    }
    pub fn valid(c: Columns, panel: usize) usize {
        return if (panel < c.full) c.width else c.rest;
    }
    pub fn padded(c: Columns) usize {
        return c.full * c.width + std.mem.alignForward(usize, c.rest, lanes);
    }
};

pub const Place = enum { shared, private, direct };

const steps_max = 256;
/// Elements of a tile's partial sums, which should stay in the second cache.
const partial_max = 98304;

pub const Plan = struct {
    a: Place,
    b: Place,
    vectors: usize,
    width: usize,
    height: usize,
    steps: usize,
    block_steps: usize,
    blocks: usize,
    tile_m: usize,
    tile_n: usize,
    /// Rows of A (columns of B) that the workspace holds at a time.
    chunk: usize,

    pub fn of(p: *const Problem, threads: usize) Plan {
        const steps = p.steps();
        const blocks = @max(1, div_up(steps, steps_max));
        const vectors = best_vectors(p.n);
        var plan: Plan = .{
            .a = .private,
            .b = .private,
            .vectors = vectors,
            .width = vectors * lanes,
            .height = gemm_kernel.height_of(@intCast(vectors)),
            .steps = steps,
            .block_steps = std.mem.alignForward(usize, div_up(steps, blocks), 4),
            .blocks = blocks,
            .tile_m = 256,
            .tile_n = 384,
            .chunk = 0,
        };
        plan.place(p);
        plan.cut(p, threads);
        return plan;
    }

    fn place(plan: *Plan, p: *const Problem) void {
        const narrow = p.m <= p.n;
        // Reading A where it lies pays when packing it would not be used often. Rows at a multiple
        // of 4 KiB from each other would compete for the same cache lines.
        const a_direct = p.a.dtype == .f32 and !p.rounds and p.a.k_stride == 1 and
            p.n <= 256 and (p.a.v_stride * 4) % 4096 != 0;
        if (a_direct) plan.a = .direct;
        if (narrow) {
            plan.tile_m = 512;
            plan.tile_n = 192;
            plan.chunk = if (a_direct) 0 else plan.fitting(p, p.m, plan.tile_m);
            if (plan.chunk > 0) plan.a = .shared;
        } else {
            plan.tile_m = 128;
            plan.tile_n = 768;
            plan.chunk = plan.fitting(p, p.n, plan.tile_n);
            if (plan.chunk > 0) plan.b = .shared;
        }
        const shares = plan.chunk > 0 or (narrow and a_direct);
        if (!shares) {
            plan.tile_m = 256;
            plan.tile_n = 384;
        }
    }

    /// Vectors of the shared operand that the workspace holds: all of them or a multiple of `tile`.
    fn fitting(plan: *const Plan, p: *const Problem, count: usize, tile: usize) usize {
        if (p.batch != 1) return 0;
        const fit = p.workspace.len / (4 * @max(1, plan.steps));
        if (fit >= std.mem.alignForward(usize, count, lanes)) return count;
        return fit / tile * tile;
    }

    /// Shrinks tiles until there are several for each thread, then makes them equal.
    fn cut(plan: *Plan, p: *const Problem, threads: usize) void {
        const wanted = if (threads == 1) 1 else @max(16, 4 * threads);
        const m = if (plan.a == .shared) @min(p.m, plan.chunk) else p.m;
        const n = if (plan.b == .shared) @min(p.n, plan.chunk) else p.n;
        const rows_first = plan.b == .shared;
        for ([_]bool{ rows_first, !rows_first }) |rows| {
            const others = p.batch * if (rows) div_up(n, plan.tile_n) else div_up(m, plan.tile_m);
            const parts = div_up(wanted, @max(1, others));
            if (rows) {
                const least: usize = if (rows_first) 32 else 64;
                plan.tile_m = @min(plan.tile_m, @max(least, div_up(m, parts)));
            } else plan.tile_n = @min(plan.tile_n, @max(plan.width, div_up(n, parts)));
        }
        plan.tile_m = div_up(even(m, plan.tile_m), plan.height) * plan.height;
        plan.tile_n = div_up(even(n, plan.tile_n), plan.width) * plan.width;
    }

    /// Bytes of scratch: partial sums, then private panels of A, then of B.
    pub fn partial_bytes(plan: *const Plan) usize {
        const tile = plan.tile_m * plan.tile_n;
        const elements = if (plan.blocks > 1) tile else plan.height * plan.width;
        return 4 * elements;
    }
    pub fn a_bytes(plan: *const Plan) usize {
        return if (plan.a == .private) 4 * plan.tile_m * plan.block_steps else 0;
    }
    pub fn b_bytes(plan: *const Plan) usize {
        return if (plan.b == .private) 4 * plan.tile_n * plan.block_steps else 0;
    }
    pub fn scratch_bytes(plan: *const Plan) usize {
        const align_up = std.mem.alignForward;
        return align_up(usize, plan.partial_bytes(), 64) +
            align_up(usize, plan.a_bytes(), 64) + align_up(usize, plan.b_bytes(), 64);
    }

    pub fn block_start(plan: *const Plan, block: usize) usize {
        return block * plan.block_steps;
    }
    pub fn block_size(plan: *const Plan, block: usize) usize {
        return @min(plan.block_steps, plan.steps - block * plan.block_steps);
    }
};

/// Whole panels matter more than the shape of the register tile.
fn best_vectors(n: usize) usize {
    if (!simd.has_avx512) return gemm_kernel.vectors_max;
    if (n <= 64) return div_up(n, lanes);
    return if (n % 64 == 0) 4 else 3;
}

fn even(count: usize, tile: usize) usize {
    return div_up(count, @max(1, div_up(count, tile)));
}

pub fn div_up(a: usize, b: usize) usize {
    return (a + b - 1) / b;
}
