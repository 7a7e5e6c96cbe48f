//! Gives the interpreter its inputs: any run of up to 512 elements, in iteration order, of strided operands.
const std = @import("std");
const abi = @import("../abi.zig");
const bytecode = @import("bytecode.zig");
const strided = @import("strided.zig");

pub const Shape = enum { dense, single, strided };

pub const Feed = struct {
    nest: strided.Nest,
    operands: [*]const abi.Operand,
    shapes: [bytecode.inputs_max]Shape,
    /// No input needs the position within a row.
    flat: bool,
    /// An input is read across its memory order: the same cache lines serve neighbouring rows.
    turned: bool,

    /// The operands of the nest's sources, in the same order.
    pub fn init(nest: strided.Nest, operands: [*]const abi.Operand) Feed {
        std.debug.assert(nest.sources <= bytecode.inputs_max);
        var feed: Feed = .{
            .nest = nest,
            .operands = operands,
            .shapes = undefined,
            .flat = true,
            .turned = false,
        };
        for (0..nest.sources) |i| {
            feed.shapes[i] = if (nest.single(i))
                .single
            else if (nest.dense(i)) .dense else .strided;
            if (feed.shapes[i] == .strided) feed.flat = false;
            if (nest.rank > 1 and nest.strides[i][nest.rank - 2] < nest.inner_stride(i)) {
                if (nest.inner_stride(i) > 1) feed.turned = true;
            }
        }
        return feed;
    }

    /// Sets all inputs of `machine` to the elements [start, start + n) of the iteration.
    pub fn load(feed: *const Feed, machine: *bytecode.Machine, start: u64, n: u64) void {
        std.debug.assert(n > 0 and n <= bytecode.block_elements);
        const inner = feed.nest.inner();
        const row = if (feed.flat) 0 else start / inner;
        const column = if (feed.flat) 0 else start - row * inner;
        const index = if (feed.flat) undefined else feed.nest.row_index(row);
        for (0..feed.nest.sources) |i| {
            const o = &feed.operands[i];
            switch (feed.shapes[i]) {
                .dense => machine.set_dense(i, o.dtype, o.data, start, n),
                .single => machine.set_single(i, o.dtype, o.data, 0),
                .strided => {
                    const at = feed.nest.offset(i, &index);
                    if (column + n <= inner) {
                        feed.load_row(machine, i, at, column, n);
                    } else {
                        feed.load_rows(machine, i, at, index, column, n);
                    }
                },
            }
        }
    }

    /// Asks for the elements [start, start + n): the hardware's prefetchers stop in the gaps between blocks.
    pub fn ahead(feed: *const Feed, start: u64, n: u64) void {
        const inner = feed.nest.inner();
        for (0..feed.nest.sources) |i| {
            if (feed.shapes[i] == .single) continue;
            var at = start;
            if (feed.shapes[i] == .strided) {
                if (feed.nest.inner_stride(i) != 1) continue;
                const row = start / inner;
                const index = feed.nest.row_index(row);
                at = feed.nest.offset(i, &index) + start - row * inner;
            }
            const o = &feed.operands[i];
            const size = abi.dtype_bytes(o.dtype);
            var byte: u64 = 0;
            while (byte < n * size) : (byte += 64) @prefetch(o.data + at * size + byte, .{});
        }
    }

    fn load_row(
        feed: *const Feed,
        machine: *bytecode.Machine,
        i: usize,
        at: u64,
        column: u64,
        n: u64,
    ) void {
        const o = &feed.operands[i];
        const stride = feed.nest.inner_stride(i);
        const from = at + column * stride;
        switch (stride) {
            0 => machine.set_single(i, o.dtype, o.data, from),
            1 => machine.set_dense(i, o.dtype, o.data, from, n),
            else => {
                bytecode.load_strided(o.dtype, machine.staging(i), o.data, from, stride, n);
                machine.set_staged(i, n);
            },
        }
    }

    fn load_rows(
        feed: *const Feed,
        machine: *bytecode.Machine,
        i: usize,
        at_row: u64,
        first_index: [abi.rank_max]u64,
        first_column: u64,
        n: u64,
    ) void {
        const o = &feed.operands[i];
        const stride = feed.nest.inner_stride(i);
        const inner = feed.nest.inner();
        const to = machine.staging(i);
        var index = first_index;
        var at = at_row;
        var column = first_column;
        var done: u64 = 0;
        while (done < n) {
            const length = @min(n - done, inner - column);
            const from = at + column * stride;
            if (stride == 1) {
                bytecode.load_run(o.dtype, to[done..].ptr, o.data, from, length);
            } else {
                bytecode.load_strided(o.dtype, to[done..].ptr, o.data, from, stride, length);
            }
            done += length;
            column = 0;
            if (done < n) at = feed.nest.next_row(i, &index, at);
        }
        machine.set_staged(i, n);
    }
};

/// 64 cache lines, used by 16 rows of 4-byte elements before they are left; more would fall out of the cache where
/// strides are powers of two.
const turned_piece = 64;
const turned_group = 16;

/// How an iteration is cut into blocks: whole rows together when they are short, else equal pieces of each row, so
/// that no block of a long row straddles two.
pub const Blocks = struct {
    rows: u64,
    inner: u64,
    /// Rows per block (short rows), or 0.
    rows_per_block: u64,
    pieces: u64,
    piece: u64,
    /// Rows that take turns before the next piece.
    group: u64,

    pub fn init(feed: *const Feed) Blocks {
        const size = bytecode.block_elements;
        const inner = if (feed.flat) feed.nest.count() else feed.nest.inner();
        const rows = feed.nest.count() / inner;
        if (inner <= size / 2) return .{
            .rows = rows,
            .inner = inner,
            .rows_per_block = size / inner,
            .pieces = 0,
            .piece = 0,
            .group = 1,
        };
        if (feed.turned) return .{
            .rows = rows,
            .inner = inner,
            .rows_per_block = 0,
            .pieces = (inner + turned_piece - 1) / turned_piece,
            .piece = turned_piece,
            .group = turned_group,
        };
        const pieces = (inner + size - 1) / size;
        const even = (inner + pieces - 1) / pieces;
        return .{
            .rows = rows,
            .inner = inner,
            .rows_per_block = 0,
            .pieces = pieces,
            .piece = if (rows == 1) size else @min(size, (even + 15) / 16 * 16),
            .group = 1,
        };
    }

    pub fn count(blocks: *const Blocks) u64 {
        if (blocks.rows_per_block == 0) return blocks.rows * blocks.pieces;
        return (blocks.rows + blocks.rows_per_block - 1) / blocks.rows_per_block;
    }

    pub const Block = struct { start: u64, n: u64 };

    pub fn get(blocks: *const Blocks, b: u64) Block {
        if (blocks.rows_per_block > 0) {
            const row = b * blocks.rows_per_block;
            const rows = @min(blocks.rows_per_block, blocks.rows - row);
            return .{ .start = row * blocks.inner, .n = rows * blocks.inner };
        }
        const first = b / (blocks.pieces * blocks.group) * blocks.group;
        const group = @min(blocks.group, blocks.rows - first);
        const within = b - first * blocks.pieces;
        const row = first + within % group;
        const column = within / group * blocks.piece;
        // Rounding the pieces up may leave the last one empty.
        const end = @min(column + blocks.piece, blocks.inner);
        return .{ .start = row * blocks.inner + column, .n = end - @min(column, end) };
    }
};
