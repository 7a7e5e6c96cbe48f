//! How one matrix product is cut up. Along k: blocks that depend on K, dtype and level alone, since
//! they decide the order of the sums. Along m and n: tiles that threads claim, of any size.
//! B is packed panel by panel into the first cache. A is read where it lies if its rows are dense,
//! else packed: by all threads into the workspace if there is one, or by each for its own tiles.
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

    /// One element as f32, rounded to bf16 if asked.
    pub fn value(s: *const Side, batch: usize, k: usize, v: usize, rounds: bool) f32 {
        const data = s.source(batch, k, v).data;
        if (s.dtype == .bf16) return simd.load_one(u16, @ptrCast(@alignCast(data)), 0);
        const x = simd.load_one(f32, @ptrCast(@alignCast(data)), 0);
        return if (rounds) simd.f32_from_bf16(simd.bf16_from_f32(x)) else x;
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
    pub inline fn start(r: Rows, panel: usize) usize {
        return panel * r.base + @min(panel, r.extra);
    }
    pub inline fn height(r: Rows, panel: usize) usize {
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

/// Where the micro-kernel finds A.
pub const Place = enum { direct, shared, private };

/// A panel of B of this many steps fits the first cache; a single block may be longer.
const steps_max = if (simd.has_avx512) 192 else 256;
const steps_single = 256;
const steps_long = 16384;
const rows_max = 512;
const columns_max = 192;
const rows_min = 64;

pub const Plan = struct {
    a: Place,
    width: usize,
    height: usize,
    steps: usize,
    block_steps: usize,
    blocks: usize,
    tile_m: usize,
    tile_n: usize,
    /// Rows of A that the workspace holds at a time.
    chunk: usize,

    pub fn of(p: *const Problem, threads: usize) Plan {
        const steps = p.steps();
        const blocks = if (steps <= steps_single) 1 else div_up(steps, steps_max);
        const vectors = best_vectors(p.n);
        var plan: Plan = .{
            .a = .private,
            .width = vectors * lanes,
            .height = gemm_kernel.height_of(@intCast(vectors)),
            .steps = steps,
            .block_steps = std.mem.alignForward(usize, div_up(steps, blocks), 4),
            .blocks = blocks,
            .tile_m = rows_max,
            .tile_n = columns_max,
            .chunk = 0,
        };
        plan.place(p);
        plan.cut(p, threads);
        return plan;
    }

    fn place(plan: *Plan, p: *const Problem) void {
        // Rows at a multiple of 4 KiB from each other would compete for the same cache lines.
        if (p.a.dtype == .f32 and !p.rounds and p.a.k_stride == 1 and
            (p.a.v_stride * 4) % 4096 != 0)
        {
            plan.a = .direct;
            return;
        }
        // A single block of a private tile stays packed while the tile's row of tiles is worked on.
        if (plan.blocks == 1 or p.batch != 1) return;
        const fit = p.workspace.len / (4 * plan.steps);
        plan.chunk = if (fit >= p.m) p.m else fit / rows_max * rows_max;
        if (plan.chunk > 0) plan.a = .shared;
    }

    /// Shrinks tiles until there are several for each thread, then makes them equal.
    fn cut(plan: *Plan, p: *const Problem, threads: usize) void {
        const m = if (plan.a == .shared) @min(p.m, plan.chunk) else p.m;
        if (threads > 1) {
            // With a long k, narrow tiles would read much of A again for little work each.
            const each: usize = if (plan.steps > steps_long) 2 else 4;
            const wanted = each * threads;
            const rows_parts = p.batch * div_up(m, plan.tile_m);
            const columns_parts = div_up(wanted, rows_parts);
            plan.tile_n = @min(plan.tile_n, @max(plan.width, div_up(p.n, columns_parts)));
            const columns_tiles = p.batch * div_up(p.n, plan.tile_n);
            const rows_wanted = div_up(m, div_up(wanted, columns_tiles));
            plan.tile_m = @min(plan.tile_m, @max(rows_min, rows_wanted));
        }
        plan.tile_m = round_up(even(m, plan.tile_m), plan.height);
        plan.tile_n = round_up(even(p.n, plan.tile_n), plan.width);
    }

    /// Bytes of scratch: partial sums, a private tile of A, a private panel of B.
    pub fn partial_bytes(plan: *const Plan) usize {
        const tile = plan.tile_m * plan.tile_n;
        const elements = if (plan.blocks > 1) tile else plan.height * plan.width;
        return 4 * elements;
    }
    pub fn a_bytes(plan: *const Plan) usize {
        return if (plan.a == .private) 4 * plan.tile_m * plan.block_steps else 0;
    }
    pub fn b_bytes(plan: *const Plan) usize {
        return 4 * plan.width * plan.block_steps;
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

fn best_vectors(n: usize) usize {
    if (!simd.has_avx512) return gemm_kernel.vectors_max;
    if (n <= 64) return div_up(n, lanes);
    return 3;
}

fn even(count: usize, tile: usize) usize {
    return div_up(count, @max(1, div_up(count, tile)));
}

fn round_up(count: usize, unit: usize) usize {
    return div_up(count, unit) * unit;
}

pub fn div_up(a: usize, b: usize) usize {
    return (a + b - 1) / b;
}
