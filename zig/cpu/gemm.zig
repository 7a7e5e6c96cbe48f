//! The matrix product: every thread of the team calls `run` with the same problem. gemm_plan.zig
//! says how the work is cut, gemm_kernel.zig has the inner loops. No barrier follows the last tile.
const std = @import("std");
const abi = @import("../abi.zig");
const gemm_epilogue = @import("gemm_epilogue.zig");
const gemm_few = @import("gemm_few.zig");
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
/// Rows packed by one claim.
const pack_rows = 64;

/// Bytes of scratch that each thread needs for `run`.
pub fn scratch_bytes(p: *const Problem) usize {
    if (p.m == 0 or p.n == 0) return 0;
    if (gemm_few.suits(p)) return gemm_few.scratch_bytes(p);
    return Plan.of(p, 1).scratch_bytes();
}

pub fn run(t: *Thread, p: *const Problem) void {
    if (p.m == 0 or p.n == 0 or p.batch == 0) return;
    if (gemm_few.suits(p)) return gemm_few.run(t, p);
    if (p.pairs()) return Driver(u32).run(t, p);
    return Driver(f32).run(t, p);
}

/// A rectangle of the result.
const Tile = struct { batch: usize, m: usize, rows: usize, n: usize, columns: usize };

/// Lines of memory to be fetched ahead while tiles are multiplied: a group of lines in one column
/// of a strided block at a time.
const Ahead = struct {
    data: [*]const u8,
    stride: usize,
    rows: usize,
    lines: usize,
    next_row: usize = 0,
    next_line: usize = 0,

    fn of(source: gemm_pack.Source, k: usize, v: usize) Ahead {
        const bytes = abi.dtype_bytes(source.dtype);
        const along_k = source.k_stride == 1;
        const length = if (along_k) k else v;
        return .{
            .data = source.data,
            .stride = bytes * if (along_k) source.v_stride else source.k_stride,
            .rows = if (along_k) v else k,
            .lines = gemm_plan.div_up(length * bytes, 64),
        };
    }

    const none: Ahead = .{ .data = undefined, .stride = 0, .rows = 0, .lines = 0 };

    const Lines = struct { from: ?[*]const u8, stride: usize };

    /// The next `count` lines; none when everything is on its way.
    fn take(a: *Ahead, count: usize) Lines {
        if (count == 0) return .{ .from = null, .stride = 0 };
        if (a.next_row >= a.rows) return .{ .from = null, .stride = 0 };
        const at = a.data + a.next_row * a.stride + a.next_line * 64;
        a.next_line += 1;
        if (a.next_line == a.lines) {
            a.next_line = 0;
            a.next_row += count;
        }
        return .{ .from = at, .stride = a.stride };
    }
};

fn Driver(comptime Packed: type) type {
    return struct {
        const Self = @This();
        const per_step = if (Packed == f32) 1 else 2;

        problem: *const Problem,
        plan: Plan,
        shared: [*]Packed,
        /// First row of A that `shared` holds.
        shared_start: usize,
        /// What `own_a` holds, if plan.blocks is 1.
        own_batch: usize = undefined,
        own_row: ?usize = null,
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
            if (plan.a != .shared) return self.tiles(t, 0, p.m);
            while (self.shared_start < p.m) {
                const rows = @min(plan.chunk, p.m - self.shared_start);
                self.pack_shared(t, rows);
                t.barrier();
                self.tiles(t, self.shared_start, rows);
                self.shared_start += rows;
                if (self.shared_start < p.m) t.barrier();
            }
        }

        fn tiles(self: *Self, t: *Thread, first: usize, rows: usize) void {
            const plan = &self.plan;
            const across = gemm_plan.div_up(self.problem.n, plan.tile_n);
            const down = gemm_plan.div_up(rows, plan.tile_m);
            const count = across * down * self.problem.batch;
            const area: Tile = .{
                .batch = 0,
                .m = first,
                .rows = rows,
                .n = 0,
                .columns = self.problem.n,
            };
            while (t.claim(@intCast(count))) |index| {
                // Which tile comes next is a guess; it only says what to fetch ahead.
                const guess = index + t.count;
                const next = if (guess < count) self.tile_at(area, guess, across, down) else null;
                self.tile(self.tile_at(area, index, across, down), next);
            }
        }

        fn tile_at(self: *const Self, area: Tile, index: usize, across: usize, down: usize) Tile {
            const plan = &self.plan;
            const i = index / across % down * plan.tile_m;
            const j = index % across * plan.tile_n;
            return .{
                .batch = index / across / down,
                .m = area.m + i,
                .rows = @min(plan.tile_m, area.rows - i),
                .n = area.n + j,
                .columns = @min(plan.tile_n, area.columns - j),
            };
        }

        // --- Packing ---------------------------------------------------------------------------

        /// Packs `count` rows of A from shared_start on, all of k.
        fn pack_shared(self: *Self, t: *Thread, count: usize) void {
            const plan = &self.plan;
            const units = gemm_plan.div_up(plan.tile_m, pack_rows);
            const panels = pack_rows / plan.height;
            const claims = gemm_plan.div_up(count, plan.tile_m) * units * plan.blocks;
            while (t.claim(@intCast(claims))) |index| {
                const block = index % plan.blocks;
                const part = index / plan.blocks % units;
                const start = index / plan.blocks / units * plan.tile_m;
                const rows = Rows.of(@min(plan.tile_m, count - start), plan.height);
                const from = part * panels;
                const is_last = part + 1 == units;
                const end = if (is_last) rows.panels else @min(from + panels, rows.panels);
                if (from >= end) continue;
                const to = self.shared_at(start, @min(plan.tile_m, count - start), block);
                self.pack_a(0, self.shared_start + start, rows, from, end, block, to);
            }
        }

        /// Where the tile of `count` rows at `start` (within the chunk) has `block`.
        fn shared_at(self: *const Self, start: usize, count: usize, block: usize) [*]Packed {
            return self.shared + start * self.plan.steps + count * self.plan.block_start(block);
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

        fn tile(self: *Self, at: Tile, next: ?Tile) void {
            const plan = &self.plan;
            const p = self.problem;
            const rows = Rows.of(at.rows, plan.height);
            const columns = Columns.of(at.columns, plan.width);
            const out = p.out.batch(at.batch, p.out_batch, p.aux_batch, p.residual_batch);
            for (0..plan.blocks) |block| {
                const k0 = plan.block_start(block) * per_step;
                const a: [*]const Packed = switch (plan.a) {
                    .shared => self.shared_at(at.m - self.shared_start, at.rows, block),
                    .direct => @ptrCast(@alignCast(p.a.source(at.batch, k0, at.m).data)),
                    .private => self.private_a(at, rows, block),
                };
                for (0..columns.panels()) |j| {
                    const column = at.n + j * plan.width;
                    self.pack_b(at.batch, column, columns.valid(j), block, self.own_b);
                    var ahead = self.panel_after(at, next, columns, block, j);
                    self.panel(at, &out, rows, columns, block, j, a, &ahead);
                }
            }
        }

        fn private_a(self: *Self, at: Tile, rows: Rows, block: usize) [*]const Packed {
            const is_packed = self.plan.blocks == 1 and self.own_row == at.m and
                self.own_batch == at.batch;
            if (!is_packed) self.pack_a(at.batch, at.m, rows, 0, rows.panels, block, self.own_a);
            self.own_row = at.m;
            self.own_batch = at.batch;
            return self.own_a;
        }

        /// The panel of B that is packed after panel j.
        fn panel_after(
            self: *const Self,
            at: Tile,
            next: ?Tile,
            columns: Columns,
            block: usize,
            j: usize,
        ) Ahead {
            const plan = &self.plan;
            var tile_next = at;
            var block_next = block;
            var column = (j + 1) * plan.width;
            if (j + 1 == columns.panels()) {
                column = 0;
                block_next += 1;
                if (block_next == plan.blocks) {
                    tile_next = next orelse return .none;
                    block_next = 0;
                }
            }
            const k0, const k = self.k_range(block_next);
            const source = self.problem.b.source(tile_next.batch, k0, tile_next.n + column);
            return .of(source, k, @min(plan.width, tile_next.columns - column));
        }

        /// All rows of the tile times panel j of B.
        fn panel(
            self: *const Self,
            at: Tile,
            out: *const Output,
            rows: Rows,
            columns: Columns,
            block: usize,
            j: usize,
            a: [*]const Packed,
            ahead: *Ahead,
        ) void {
            const plan = &self.plan;
            const is_last = block + 1 == plan.blocks;
            const single = plan.blocks == 1;
            const valid = columns.valid(j);
            const vectors = gemm_plan.div_up(valid, lanes);
            const column = at.n + j * plan.width;
            const stride = if (single) plan.width else columns.padded();
            const direct = plan.a == .direct;
            // Whole vectors without an epilogue: the residual joins the first block's sums and the
            // last block is stored in place.
            const plain = out.is_plain() and valid == vectors * lanes;
            const stores = is_last and plain;
            var args: gemm_kernel.Args(Packed) = .{
                .k = plan.block_size(block),
                .a = a,
                .a_stride = self.problem.a.v_stride,
                .b = self.own_b,
                .c_in = null,
                .c_in_stride = stride,
                .c_out = self.partial + if (single) 0 else j * plan.width,
                .c_out_stride = stride,
                .fetch = .{},
                .ahead = undefined,
                .ahead_stride = undefined,
            };
            if (block > 0) args.c_in = args.c_out;
            if (stores) {
                args.c_out = out.at_f32(at.m, column);
                args.c_out_stride = out.stride;
            }
            if (block == 0 and plain) {
                args.c_in = out.residual_f32(at.m, column);
                args.c_in_stride = out.residual_stride;
            }
            if (is_last) out.fetches(&args.fetch, at.m, column);
            // A residual that joins the only block is among those already.
            if (!(is_last and single)) {
                if (args.c_in) |c_in| args.fetch.add(c_in, args.c_in_stride);
            }
            const table = &gemm_kernel.table(Packed)[@intFromBool(direct)][vectors - 1];
            const step_a = if (direct) args.a_stride else args.k;
            for (0..rows.panels) |i| {
                const height = rows.height(i);
                const lines = ahead.take(gemm_kernel.lines_ahead(args.k, height, args.fetch.count));
                args.ahead = lines.from orelse @ptrCast(self.own_b);
                args.ahead_stride = lines.stride;
                table[height - 1].?(&args);
                args.a += height * step_a;
                args.fetch.advance(height);
                if (is_last and !stores) {
                    const row = at.m + rows.start(i);
                    gemm_epilogue.finish(out, args.c_out, stride, row, column, height, valid);
                    if (single) continue;
                }
                args.c_out += height * args.c_out_stride;
                if (args.c_in) |c_in| args.c_in = c_in + height * args.c_in_stride;
            }
        }
    };
}
