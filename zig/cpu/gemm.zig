//! The matrix product: every thread of the team calls `run` with the same problem. gemm_plan.zig says
//! how the work is cut, gemm_kernel.zig has the inner loops. No barrier follows the last tile.
const std = @import("std");
const gemm_epilogue = @import("gemm_epilogue.zig");
const gemm_kernel = @import("gemm_kernel.zig");
const gemm_pack = @import("gemm_pack.zig");
const gemm_plan = @import("gemm_plan.zig");
const kernel = @import("kernel.zig");
const simd = @import("simd.zig");

pub const Problem = gemm_plan.Problem;
pub const Side = gemm_plan.Side;
pub const Output = gemm_epilogue.Output;
const Plan = gemm_plan.Plan;
const Rows = gemm_plan.Rows;
const Columns = gemm_plan.Columns;
const Thread = kernel.Thread;

const lanes = simd.lanes;
/// Panels of A that are worked on together: about this many rows stay in the second cache.
const rows_resident = 256;
/// Rows and columns packed by one claim.
const pack_rows = 64;
const pack_columns = 192;

/// Bytes of scratch that each thread needs for `run`.
pub fn scratch_bytes(p: *const Problem) usize {
    if (p.m == 0 or p.n == 0) return 0;
    return Plan.of(p, 1).scratch_bytes();
}

pub fn run(t: *Thread, p: *const Problem) void {
    if (p.m == 0 or p.n == 0 or p.batch == 0) return;
    if (p.pairs()) return Driver(u32).run(t, p);
    return Driver(f32).run(t, p);
}

/// A rectangle of the result.
const Tile = struct { batch: usize, m: usize, rows: usize, n: usize, columns: usize };

fn Driver(comptime Packed: type) type {
    return struct {
        const Self = @This();
        const per_step = if (Packed == f32) 1 else 2;

        problem: *const Problem,
        plan: Plan,
        shared: [*]Packed,
        /// First row (column) of A (B) that `shared` holds.
        shared_start: usize,
        partial: [*]f32,
        own_a: [*]Packed,
        own_b: [*]Packed,

        fn run(t: *Thread, p: *const Problem) void {
            const plan = Plan.of(p, t.count);
            const bytes = plan.scratch_bytes();
            const scratch = t.scratch_slice(u8, 0, bytes);
            const a_at = std.mem.alignForward(usize, plan.partial_bytes(), 64);
            const b_at = a_at + std.mem.alignForward(usize, plan.a_bytes(), 64);
            var self: Self = .{
                .problem = p,
                .plan = plan,
                .shared = @ptrCast(@alignCast(p.workspace.ptr)),
                .shared_start = 0,
                .partial = @ptrCast(@alignCast(scratch.ptr)),
                .own_a = @ptrCast(@alignCast(scratch.ptr + a_at)),
                .own_b = @ptrCast(@alignCast(scratch.ptr + b_at)),
            };
            if (plan.chunk == 0) return self.tiles(t, 0, p.m, 0, p.n);
            const count = if (plan.a == .shared) p.m else p.n;
            while (self.shared_start < count) {
                const size = @min(plan.chunk, count - self.shared_start);
                self.pack_shared(t, size);
                t.barrier();
                if (plan.a == .shared)
                    self.tiles(t, self.shared_start, size, 0, p.n)
                else
                    self.tiles(t, 0, p.m, self.shared_start, size);
                self.shared_start += size;
                if (self.shared_start < count) t.barrier();
            }
        }

        fn tiles(self: *Self, t: *Thread, m0: usize, m: usize, n0: usize, n: usize) void {
            const plan = &self.plan;
            const across = gemm_plan.div_up(n, plan.tile_n);
            const down = gemm_plan.div_up(m, plan.tile_m);
            const count = across * down * self.problem.batch;
            while (t.claim(@intCast(count))) |index| {
                const i = index / across % down * plan.tile_m;
                const j = index % across * plan.tile_n;
                self.tile(.{
                    .batch = index / across / down,
                    .m = m0 + i,
                    .rows = @min(plan.tile_m, m - i),
                    .n = n0 + j,
                    .columns = @min(plan.tile_n, n - j),
                });
            }
        }

        // --- Packing ---------------------------------------------------------------------------

        /// Packs `size` rows (columns) of the shared operand from shared_start on, all of k.
        fn pack_shared(self: *Self, t: *Thread, size: usize) void {
            const plan = &self.plan;
            const of_a = plan.a == .shared;
            const unit = if (of_a) pack_rows else pack_columns / plan.width * plan.width;
            const tile_size = if (of_a) plan.tile_m else plan.tile_n;
            const units = gemm_plan.div_up(tile_size, unit);
            const tiles_count = gemm_plan.div_up(size, tile_size);
            while (t.claim(@intCast(tiles_count * units * plan.blocks))) |index| {
                const block = index % plan.blocks;
                const tile_start = index / plan.blocks / units * tile_size;
                const count = @min(tile_size, size - tile_start);
                const part = index / plan.blocks % units;
                const to = self.shared_at(tile_start, count, block);
                const first = self.shared_start + tile_start;
                if (of_a) {
                    const rows = Rows.of(count, plan.height);
                    const each = pack_rows / plan.height;
                    const from = @min(part * each, rows.panels);
                    const end = if (part + 1 == units) rows.panels else from + each;
                    self.pack_a(0, first, rows, from, @min(end, rows.panels), block, to);
                } else if (part * unit < count) {
                    const columns = @min(unit, count - part * unit);
                    const ahead = part * unit * plan.block_size(block);
                    self.pack_b(0, first + part * unit, columns, block, to + ahead);
                }
            }
        }

        /// Where the tile of `count` rows or columns at `start` (within the chunk) has `block`.
        fn shared_at(self: *const Self, start: usize, count: usize, block: usize) [*]Packed {
            const plan = &self.plan;
            const unit: usize = if (plan.a == .shared) 1 else lanes;
            const padded = std.mem.alignForward(usize, count, unit);
            return self.shared + start * plan.steps + padded * plan.block_start(block);
        }

        fn k_range(self: *const Self, block: usize) [2]usize {
            const start = self.plan.block_start(block) * per_step;
            const end = start + self.plan.block_size(block) * per_step;
            return .{ start, @min(end, self.problem.k) - start };
        }

        /// Panels [from, end) of the rows that start at `first`.
        fn pack_a(
            self: *const Self,
            batch: usize,
            first: usize,
            rows: Rows,
            from: usize,
            end: usize,
            block: usize,
            to: [*]Packed,
        ) void {
            const p = self.problem;
            const k0, const k = self.k_range(block);
            const steps = self.plan.block_size(block);
            const ranges = [_][2]usize{
                .{ from, @min(end, rows.extra) },
                .{ @max(from, rows.extra), end },
            };
            for (ranges) |range| {
                if (range[0] >= range[1]) continue;
                const start = rows.start(range[0]);
                const source = p.a.source(batch, k0, first + start);
                const height = rows.height(range[0]);
                const panels = range[1] - range[0];
                gemm_pack.pack(Packed, source, p.rounds, k, height, panels, to + start * steps);
            }
        }

        fn pack_b(
            self: *const Self,
            batch: usize,
            first: usize,
            count: usize,
            block: usize,
            to: [*]Packed,
        ) void {
            const p = self.problem;
            const columns = Columns.of(count, self.plan.width);
            const k0, const k = self.k_range(block);
            const steps = self.plan.block_size(block);
            if (columns.full > 0) {
                const source = p.b.source(batch, k0, first);
                gemm_pack.pack(Packed, source, p.rounds, k, columns.width, columns.full, to);
            }
            if (columns.rest == 0) return;
            const done = columns.full * columns.width;
            const source = p.b.source(batch, k0, first + done);
            const width = columns.padded() - done;
            const rest = to + done * steps;
            gemm_pack.pack_partial(Packed, source, p.rounds, k, width, columns.rest, rest);
        }

        // --- Multiplying -----------------------------------------------------------------------

        fn tile(self: *const Self, at: Tile) void {
            const plan = &self.plan;
            const rows = Rows.of(at.rows, plan.height);
            const out = self.problem.out.batch(
                at.batch,
                self.problem.out_batch,
                self.problem.aux_batch,
                self.problem.residual_batch,
            );
            for (0..plan.blocks) |block| {
                const b: [*]const Packed = switch (plan.b) {
                    .shared => self.shared_at(at.n - self.shared_start, at.columns, block),
                    else => own: {
                        self.pack_b(at.batch, at.n, at.columns, block, self.own_b);
                        break :own self.own_b;
                    },
                };
                const a: [*]const Packed = switch (plan.a) {
                    .shared => self.shared_at(at.m - self.shared_start, at.rows, block),
                    .direct => @ptrCast(@alignCast(self.problem.a.source(
                        at.batch,
                        plan.block_start(block),
                        at.m,
                    ).data)),
                    .private => own: {
                        self.pack_a(at.batch, at.m, rows, 0, rows.panels, block, self.own_a);
                        break :own self.own_a;
                    },
                };
                self.multiply(at, &out, rows, block, a, b);
            }
        }

        fn multiply(
            self: *const Self,
            at: Tile,
            out: *const Output,
            rows: Rows,
            block: usize,
            a: [*]const Packed,
            b: [*]const Packed,
        ) void {
            const columns = Columns.of(at.columns, self.plan.width);
            const steps = self.plan.block_size(block);
            const group = @max(1, rows_resident / self.plan.height);
            var first: usize = 0;
            while (first < rows.panels) : (first += group) {
                for (0..columns.panels()) |j| {
                    const panel = b + j * columns.width * steps;
                    for (first..@min(first + group, rows.panels)) |i|
                        self.micro(at, out, rows, columns, block, i, j, a, panel);
                }
            }
        }

        /// One register tile: rows of panel i, columns of panel j.
        inline fn micro(
            self: *const Self,
            at: Tile,
            out: *const Output,
            rows: Rows,
            columns: Columns,
            block: usize,
            i: usize,
            j: usize,
            a: [*]const Packed,
            b: [*]const Packed,
        ) void {
            const plan = &self.plan;
            const row = rows.start(i);
            const height = rows.height(i);
            const valid = columns.valid(j);
            const vectors = gemm_plan.div_up(valid, lanes);
            const direct = plan.a == .direct;
            const stride = self.problem.a.v_stride;
            const is_last = block + 1 == plan.blocks;
            const single = plan.blocks == 1;
            const stores = is_last and out.is_plain() and valid == vectors * lanes and
                (single or out.residual == null);
            const sums_stride = if (single) columns.width else columns.padded();
            const sums_at = if (single) 0 else row * sums_stride + j * columns.width;
            const sums = self.partial + sums_at;
            const out_column = at.n + j * columns.width;
            var args: gemm_kernel.Args(Packed) = .{
                .k = plan.block_size(block),
                .a = a + row * if (direct) stride else plan.block_size(block),
                .a_stride = stride,
                .b = b,
                .c_in = if (block > 0) sums else null,
                .c_in_stride = sums_stride,
                .c_out = sums,
                .c_out_stride = sums_stride,
            };
            if (stores) {
                args.c_out = out.at_f32(at.m + row, out_column);
                args.c_out_stride = out.stride;
                if (single) {
                    args.c_in = out.residual_f32(at.m + row, out_column);
                    args.c_in_stride = out.residual_stride;
                }
                prefetch(args.c_out, out.stride, height, vectors);
            }
            gemm_kernel.table(Packed)[@intFromBool(direct)][vectors - 1][height - 1].?(&args);
            if (is_last and !stores)
                gemm_epilogue.finish(out, sums, sums_stride, at.m + row, out_column, height, valid);
        }

        inline fn prefetch(c: [*]const f32, stride: usize, height: usize, vectors: usize) void {
            for (0..height) |i| for (0..vectors) |v|
                @prefetch(c + i * stride + v * lanes, .{ .rw = .write });
        }
    };
}
