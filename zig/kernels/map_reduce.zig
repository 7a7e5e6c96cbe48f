//! `map_reduce`: the bytecode of `map` followed by a sum or a maximum over a mask of dims.
//! Shared workspace (element u32, 4-byte aligned), with K = product of the kept dims, L = product of the reduced dims,
//! rows = the last dim of size > 1 is reduced (true when there is none):
//!   slot = max(rows ? 16384 : 128, power of two >= ceil(L / 64)); slots = ceil(L / slot)
//!   bytes = slots > 1 and K < (rows ? 256 : 32768) ? 8 * K * slots : 0 (0: no workspace operand). No private scratch.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const bytecode = @import("../cpu/bytecode.zig");
const feeding = @import("../cpu/feed.zig");
const reduction = @import("../cpu/reduction.zig");
const strided = @import("../cpu/strided.zig");

const Instruction = kernel.Instruction;
const Operand = kernel.Operand;
const Fold = reduction.Fold;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .map_reduce, .run = run, .check = check },
};

/// Elements that a tile handles at least, where outputs are small.
const tile_elements = 16384;
/// Columns of a tile of a reduction over rows.
const columns_max = 1024;
/// Rows added in f32 before they go to f64.
const rows_narrow = 32;

/// The reduction as outer x length x columns: `length` elements, each `columns` wide, become one, `outer` times.
/// Without kept dims after the last reduced one, `columns` is 1. The partial results of a slot are combined in order,
/// whether they went through the workspace or not, so that bits depend on length and columns only.
const Plan = struct {
    outer: u64,
    length: u64,
    columns: u64,
    slot: u64,
    slots: u64,
    /// Slots are separate tiles, combined through the workspace.
    split: bool,

    fn init(first: *const Operand, mask: u32) Plan {
        var kept: u64 = 1;
        var length: u64 = 1;
        var columns: u64 = 1;
        var rows = true;
        for (first.dims[0..first.rank], 0..) |size, d| {
            if (is_reduced(mask, d)) {
                length *= size;
                if (size != 1) columns = 1;
            } else {
                kept *= size;
                columns *= size;
            }
            if (size > 1) rows = is_reduced(mask, d);
        }
        if (rows) columns = 1;
        const slot = @max(
            @as(u64, if (rows) 16384 else 128),
            std.math.ceilPowerOfTwoAssert(u64, @max(1, (length + 63) / 64)),
        );
        const slots = (length + slot - 1) / slot;
        const few = kept < @as(u64, if (rows) 256 else 32768);
        return .{
            .outer = kept / @max(1, columns),
            .length = length,
            .columns = columns,
            .slot = slot,
            .slots = slots,
            .split = slots > 1 and few,
        };
    }

    fn results(p: *const Plan) u64 {
        return p.outer * p.columns;
    }
};

fn is_reduced(mask: u32, d: usize) bool {
    return (mask >> @intCast(d)) & 1 != 0;
}

fn check(ins: *const Instruction) callconv(.c) ?[*:0]const u8 {
    if (ins.word_count < 2) return "map_reduce: too few words";
    const program = bytecode.Program.decode(ins.words[2..ins.word_count]) orelse
        return "map_reduce: the words do not hold the counts they declare";
    if (!program.sound()) return "map_reduce: unknown instruction or undefined register";
    if (program.result_count != 1) return "map_reduce: needs one result register";
    if (program.input_count == 0) return "map_reduce: needs an input";
    const count = program.input_count + 1 + @min(ins.has_workspace, 1);
    if (ins.operand_count != count) return "map_reduce: wrong number of operands";
    const first = ins.operand(0);
    const mask = ins.word(1);
    if (ins.word(0) > 1) return "map_reduce: unknown kind";
    if (first.rank < 32 and mask >> @intCast(first.rank) != 0)
        return "map_reduce: the mask names a dim beyond the rank";
    for (1..program.input_count) |i|
        if (!kernel.same_dims(ins.operand(i), first)) return "map_reduce: inputs differ in dims";
    if (strided.checked_count(first) == null) return "map_reduce: too many elements";
    return check_result(ins, program.input_count, mask);
}

fn check_result(ins: *const Instruction, at: u32, mask: u32) ?[*:0]const u8 {
    const first = ins.operand(0);
    const out = ins.operand(at);
    if (out.output == 0) return "map_reduce: the result is not writable";
    if (!strided.is_dense(out)) return "map_reduce: the result is not contiguous";
    var d_out: u32 = 0;
    for (first.dims[0..first.rank], 0..) |size, d| {
        if (is_reduced(mask, d)) continue;
        if (d_out >= out.rank or out.dims[d_out] != size) return "map_reduce: wrong result dims";
        d_out += 1;
    }
    // A scalar may come as [1].
    for (out.dims[d_out..out.rank]) |size| if (size != 1) return "map_reduce: wrong result dims";
    if (out.count() == 0) return null;
    const plan = Plan.init(first, mask);
    if (!plan.split) return null;
    if (ins.has_workspace == 0) return "map_reduce: needs a workspace";
    const workspace = ins.workspace();
    if (workspace.output == 0 or workspace.dtype != .u32 or !strided.is_dense(workspace))
        return "map_reduce: the workspace is not writable u32";
    if (workspace.count() < 2 * plan.results() * plan.slots)
        return "map_reduce: the workspace is too small";
    return null;
}

fn run(t: *kernel.Thread, ins: *const Instruction) callconv(.c) void {
    const out = ins.operand(ins.word(2));
    const is_sum = ins.word(0) == 0;
    switch (out.dtype) {
        .f32, .bf16 => if (is_sum) run_fold(.sum_float, t, ins) else run_fold(.max_float, t, ins),
        .i32 => if (is_sum) run_fold(.sum_integer, t, ins) else run_fold(.max_signed, t, ins),
        .u32, .bool => if (is_sum)
            run_fold(.sum_integer, t, ins)
        else
            run_fold(.max_unsigned, t, ins),
    }
}

fn run_fold(comptime kind: reduction.Kind, t: *kernel.Thread, ins: *const Instruction) void {
    const program = bytecode.Program.decode(ins.words[2..ins.word_count]).?;
    const first = ins.operand(0);
    const out = ins.operand(program.input_count);
    if (out.count() == 0) return;
    const plan = Plan.init(first, ins.word(1));
    var worker: Worker(kind) = undefined;
    worker.plan = plan;
    worker.count = first.count();
    worker.out = out;
    worker.partials = if (plan.split)
        @as([*]align(4) Fold(kind).Wide, @ptrCast(@alignCast(ins.workspace().data)))
    else
        undefined;
    if (plan.length == 0) return worker.fill_empty(t);
    worker.feed = feeding.Feed.init(nest_of(ins, program.input_count, plan), ins.operands);
    worker.machine.prepare(program, &.{out.dtype}, false);
    if (plan.columns == 1) worker.run_rows(t) else worker.run_columns(t);
    if (!plan.split) return;
    t.barrier();
    worker.combine(t);
}

/// Iteration order: kept dims before the last reduced dim, reduced dims, kept dims after it. With one column every
/// kept dim comes first.
fn nest_of(ins: *const Instruction, inputs: u32, plan: Plan) strided.Nest {
    const first = ins.operand(0);
    const mask = ins.word(1);
    var nest = strided.Nest.init(inputs);
    var last: u32 = 0;
    for (0..first.rank) |d| if (is_reduced(mask, d) and first.dims[d] != 1) {
        last = @intCast(d + 1);
    };
    if (plan.columns == 1) last = first.rank;
    const passes = [_]struct { from: u32, to: u32, reduced: bool }{
        .{ .from = 0, .to = last, .reduced = false },
        .{ .from = 0, .to = first.rank, .reduced = true },
        .{ .from = last, .to = first.rank, .reduced = false },
    };
    for (passes) |pass| {
        for (pass.from..pass.to) |d| {
            if (is_reduced(mask, d) != pass.reduced or first.dims[d] == 1) continue;
            var strides: [bytecode.inputs_max]u64 = undefined;
            for (0..inputs) |i| strides[i] = ins.operand(i).strides[d];
            nest.append(first.dims[d], strides[0..inputs]);
        }
    }
    return nest;
}

fn Worker(comptime kind: reduction.Kind) type {
    const fold = Fold(kind);
    const Wide = fold.Wide;
    return struct {
        const Self = @This();

        plan: Plan,
        /// Elements of the whole iteration.
        count: u64,
        out: *const Operand,
        partials: [*]align(4) Wide,
        feed: feeding.Feed,
        machine: bytecode.Machine,
        narrow: [columns_max]fold.Narrow align(64),
        wide: [columns_max]Wide align(64),
        total: [columns_max]Wide align(64),

        fn fill_empty(w: *Self, t: *kernel.Thread) void {
            if (t.claim(1) == null) return;
            for (0..w.plan.results()) |k| fold.store(w.out, k, fold.identity_wide);
        }

        /// Elements [start, start + n) of the iteration, at most a block.
        fn block(w: *Self, start: u64, n: u64, distance: u64) [*]const fold.Narrow {
            if (start + distance + n <= w.count) w.feed.ahead(start + distance, n);
            w.feed.load(&w.machine, start, n);
            w.machine.execute(n);
            return @ptrCast(w.machine.values(0, n));
        }

        fn run_rows(w: *Self, t: *kernel.Thread) void {
            const plan = &w.plan;
            if (plan.split) {
                const tiles = strided.tile_count(plan.outer * plan.slots, 1);
                while (t.claim(tiles)) |tile|
                    w.partials[tile] = w.row_slot(tile / plan.slots, tile % plan.slots);
                return;
            }
            const size = @max(1, tile_elements / plan.length);
            const tiles = strided.tile_count(plan.outer, size);
            while (t.claim(tiles)) |tile| {
                const from = tile * size;
                const to = @min(plan.outer, from + size);
                if (plan.length <= bytecode.block_elements / 2) {
                    w.short_rows(from, to);
                } else for (from..to) |o| {
                    var total = w.row_slot(o, 0);
                    for (1..plan.slots) |s| total = fold.join(total, w.row_slot(o, s));
                    fold.store(w.out, o, total);
                }
            }
        }

        fn row_slot(w: *Self, o: u64, slot: u64) Wide {
            const plan = &w.plan;
            const end = @min(plan.length, (slot + 1) * plan.slot);
            var at = slot * plan.slot;
            var total = fold.identity_wide;
            while (at < end) {
                const n = @min(end - at, bytecode.block_elements);
                total = fold.join(total, fold.run(w.block(o * plan.length + at, n, n), n));
                at += n;
            }
            return total;
        }

        /// Several rows in one block.
        fn short_rows(w: *Self, from: u64, to: u64) void {
            const length = w.plan.length;
            const rows = bytecode.block_elements / length;
            var o = from;
            while (o < to) : (o += rows) {
                const n = @min(rows, to - o);
                const values = w.block(o * length, n * length, n * length);
                for (0..n) |r| fold.store(w.out, o + r, fold.run(values + r * length, length));
            }
        }

        fn run_columns(w: *Self, t: *kernel.Thread) void {
            const plan = &w.plan;
            const width = @min(plan.columns, columns_max);
            const pieces = (plan.columns + width - 1) / width;
            const slots = if (plan.split) plan.slots else 1;
            const units = plan.outer * slots * pieces;
            const size = @max(1, tile_elements / (@min(plan.slot, plan.length) * width));
            const tiles = strided.tile_count(units, size);
            while (t.claim(tiles)) |tile| {
                const end = @min(units, (@as(u64, tile) + 1) * size);
                for (tile * size..end) |unit| {
                    const column = unit % pieces * width;
                    const n = @min(width, plan.columns - column);
                    const slot = unit / pieces % slots;
                    const o = unit / pieces / slots;
                    if (plan.split)
                        w.split_columns(o, slot, column, n)
                    else
                        w.all_columns(o, column, n);
                }
            }
        }

        fn split_columns(w: *Self, o: u64, slot: u64, column: u64, n: u64) void {
            w.column_slot(o, slot, column, n);
            const at = (slot * w.plan.outer + o) * w.plan.columns + column;
            for (0..n) |j| w.partials[at + j] = w.wide[j];
        }

        fn all_columns(w: *Self, o: u64, column: u64, n: u64) void {
            w.column_slot(o, 0, column, n);
            @memcpy(w.total[0..n], w.wide[0..n]);
            for (1..w.plan.slots) |slot| {
                w.column_slot(o, slot, column, n);
                for (w.total[0..n], w.wide[0..n]) |*total, part| total.* = fold.join(total.*, part);
            }
            for (0..n) |j| fold.store(w.out, o * w.plan.columns + column + j, w.total[j]);
        }

        /// One slot of `n` columns into `wide`. Narrow columns go several rows to a block; they meet at the end.
        fn column_slot(w: *Self, o: u64, slot: u64, column: u64, n: u64) void {
            const plan = &w.plan;
            const end = @min(plan.length, (slot + 1) * plan.slot);
            const together = if (n < plan.columns) 1 else @max(1, bytecode.block_elements / n);
            const width = @min(together, end - slot * plan.slot) * n;
            @memset(w.narrow[0..width], fold.identity);
            @memset(w.wide[0..width], fold.identity_wide);
            var row = slot * plan.slot;
            var added: u32 = 0;
            while (row < end) {
                const rows = @min(together, end - row);
                w.add_block((o * plan.length + row) * plan.columns + column, rows * n, rows);
                row += rows;
                added += 1;
                if (added % rows_narrow == 0 or row == end) {
                    fold.widen(w.wide[0..width], w.narrow[0..width]);
                    @memset(w.narrow[0..width], fold.identity);
                }
            }
            var at = n;
            while (at < width) : (at += n) {
                for (0..n) |j| w.wide[j] = fold.join(w.wide[j], w.wide[at + j]);
            }
        }

        fn add_block(w: *Self, start: u64, n: u64, rows: u64) void {
            const distance = rows * w.plan.columns;
            var at: u64 = 0;
            while (at < n) {
                const part = @min(n - at, bytecode.block_elements);
                fold.add(w.narrow[at..][0..part], w.block(start + at, part, distance));
                at += part;
            }
        }

        /// Slots of each output, in order.
        fn combine(w: *Self, t: *kernel.Thread) void {
            const plan = &w.plan;
            const tiles = strided.tile_count(plan.results(), columns_max);
            while (t.claim(tiles)) |tile| {
                const from = @as(u64, tile) * columns_max;
                const n = @min(columns_max, plan.results() - from);
                // Rows store the slots of an output side by side, columns the outputs of a slot.
                const along: u64 = if (plan.columns == 1) plan.slots else 1;
                const across: u64 = if (plan.columns == 1) 1 else plan.results();
                for (0..n) |j| w.total[j] = w.partials[(from + j) * along];
                for (1..plan.slots) |slot| for (0..n) |j| {
                    const part = w.partials[(from + j) * along + slot * across];
                    w.total[j] = fold.join(w.total[j], part);
                };
                for (0..n) |j| fold.store(w.out, from + j, w.total[j]);
            }
        }
    };
}

test {
    _ = @import("map_reduce_test.zig");
}
