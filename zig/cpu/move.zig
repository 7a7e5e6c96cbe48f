//! Moves elements between two strided views of equal dims, as they are: contiguous runs, 2-D transposes in vector
//! registers, or one by one. Used by copy, dynamic_slice and dynamic_update.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("kernel.zig");
const simd = @import("simd.zig");
const strided = @import("strided.zig");

const tile_elements = 16384;
/// Rows of the target in a transposed tile.
const tile_rows = 1024;
/// Edge of the block that is transposed in registers.
const square = simd.lanes;

const target = 0;
const source = 1;

const Kind = enum { runs, transpose, single };

pub const Move = struct {
    /// Source 0 is the target view, source 1 the source view; dims in the target's memory order.
    nest: strided.Nest,
    kind: Kind,
    to: [*]u8,
    from: [*]const u8,

    /// All views are checked and hold at least one element. Equal dims.
    pub fn init(
        dims: []const u32,
        to: [*]u8,
        to_strides: []const u64,
        from: [*]const u8,
        from_strides: []const u64,
    ) Move {
        var order: [abi.rank_max]u8 = .{ 0, 1, 2, 3, 4, 5, 6, 7 };
        const sorted = order[0..dims.len];
        std.sort.insertion(u8, sorted, to_strides, struct {
            fn before(strides: []const u64, a: u8, b: u8) bool {
                return strides[a] > strides[b];
            }
        }.before);
        var nest = strided.Nest.init(2);
        for (sorted) |d| nest.append(dims[d], &.{ to_strides[d], from_strides[d] });
        var move: Move = .{ .nest = nest, .kind = .single, .to = to, .from = from };
        const last = @max(1, nest.rank) - 1;
        if (nest.rank == 0 or nest.strides[target][last] != 1) return move;
        if (nest.strides[source][last] == 1) {
            move.kind = .runs;
        } else if (nest.rank > 1 and nest.dims[last] >= square) {
            // The dim that is contiguous in the source goes next to the innermost one.
            for (0..last) |d| if (nest.strides[source][d] == 1 and nest.dims[d] >= square) {
                move.nest = exchange(nest, d, last - 1);
                move.kind = .transpose;
            };
        }
        return move;
    }

    /// Moves this thread's share; needs a barrier afterwards.
    pub fn run(move: *const Move, t: *kernel.Thread, element_bytes: u32) void {
        switch (element_bytes) {
            1 => move.run_typed(u8, t),
            2 => move.run_typed(u16, t),
            else => move.run_typed(u32, t),
        }
    }

    fn run_typed(move: *const Move, comptime T: type, t: *kernel.Thread) void {
        const to: [*]T = @ptrCast(@alignCast(move.to));
        const from: [*]const T = @ptrCast(@alignCast(move.from));
        if (move.kind == .transpose) return transpose_tiles(T, t, &move.nest, to, from);
        const inner = move.nest.inner();
        const rows = move.nest.count() / inner;
        const pieces = (inner + tile_elements - 1) / tile_elements;
        const together = if (pieces > 1) 1 else tile_elements / inner;
        const tiles = strided.tile_count(rows, together) * @as(u32, @intCast(pieces));
        while (t.claim(tiles)) |tile| {
            const row = tile / pieces * together;
            const column = tile % pieces * tile_elements;
            const n = @min(inner - column, tile_elements);
            const count = @min(together, rows - row);
            move_rows(T, move, to, from, .{ .row = row, .count = count, .column = column, .n = n });
        }
    }
};

fn exchange(nest: strided.Nest, a: usize, b: usize) strided.Nest {
    var other = nest;
    std.mem.swap(u64, &other.dims[a], &other.dims[b]);
    for (0..2) |s| std.mem.swap(u64, &other.strides[s][a], &other.strides[s][b]);
    return other;
}

const Rows = struct { row: u64, count: u64, column: u64, n: u64 };

fn move_rows(comptime T: type, move: *const Move, to: [*]T, from: [*]const T, rows: Rows) void {
    const nest = &move.nest;
    var index = nest.row_index(rows.row);
    var index_source = index;
    const to_step = nest.inner_stride(target);
    const from_step = nest.inner_stride(source);
    var at = nest.offset(target, &index);
    var at_source = nest.offset(source, &index);
    for (0..rows.count) |_| {
        const p = to + at + rows.column * to_step;
        const q = from + at_source + rows.column * from_step;
        if (move.kind == .runs) {
            move_run(T, p, q, rows.n);
        } else {
            for (0..rows.n) |i| p[i * to_step] = q[i * from_step];
        }
        at = nest.next_row(target, &index, at);
        at_source = nest.next_row(source, &index_source, at_source);
    }
}

pub inline fn move_run(comptime T: type, to: [*]T, from: [*]const T, n: u64) void {
    // The call is not worth it for a few elements.
    if (n < 16) {
        for (0..n) |i| to[i] = from[i];
    } else {
        @memmove(to[0..n], from[0..n]);
    }
}

fn transpose_tiles(
    comptime T: type,
    t: *kernel.Thread,
    nest: *const strided.Nest,
    to: [*]T,
    from: [*]const T,
) void {
    const rows = nest.dims[nest.rank - 2];
    const columns = nest.dims[nest.rank - 1];
    // One cache line of the target is filled at a time, from as many sequential streams of the source.
    const strip = @max(square, 64 / @sizeOf(T));
    const row_tiles = (rows + tile_rows - 1) / tile_rows;
    const column_tiles = (columns + strip - 1) / strip;
    // `row_index` and `offset` leave out the innermost dim; here the outer part leaves out two.
    var outer = nest.*;
    outer.rank -= 1;
    const outer_count = nest.count() / rows / columns;
    const tiles: u32 = @intCast(outer_count * row_tiles * column_tiles);
    const flat: Flat(T) = .{
        .to_step = nest.strides[target][nest.rank - 2],
        .from_step = nest.strides[source][nest.rank - 1],
    };
    while (t.claim(tiles)) |tile| {
        const index = outer.row_index(tile / (row_tiles * column_tiles));
        const within = tile % (row_tiles * column_tiles);
        const row = within / column_tiles * tile_rows;
        const column = within % column_tiles * strip;
        flat.tile(
            to + outer.offset(target, &index) + row * flat.to_step + column,
            from + outer.offset(source, &index) + column * flat.from_step + row,
            @min(tile_rows, rows - row),
            @min(strip, columns - column),
        );
    }
}

/// to[r * to_step + c] = from[c * from_step + r]
fn Flat(comptime T: type) type {
    const V = @Vector(square, T);
    return struct {
        to_step: u64,
        from_step: u64,

        fn tile(f: @This(), to: [*]T, from: [*]const T, rows: u64, columns: u64) void {
            const whole_rows = rows - rows % square;
            const whole_columns = columns - columns % square;
            var r: u64 = 0;
            while (r < whole_rows) : (r += square) {
                // The target's lines are far apart: no hardware prefetcher sees them coming.
                if (r + square < whole_rows) inline for (0..square) |ahead|
                    @prefetch(to + (r + square + ahead) * f.to_step, .{ .rw = .write });
                var c: u64 = 0;
                while (c < whole_columns) : (c += square)
                    f.block(to + r * f.to_step + c, from + c * f.from_step + r);
                f.single(to, from, r, r + square, whole_columns, columns);
            }
            f.single(to, from, whole_rows, rows, 0, columns);
        }

        fn single(
            f: @This(),
            to: [*]T,
            from: [*]const T,
            row: u64,
            row_end: u64,
            column: u64,
            column_end: u64,
        ) void {
            for (row..row_end) |r| for (column..column_end) |c| {
                to[r * f.to_step + c] = from[c * f.from_step + r];
            };
        }

        inline fn block(f: @This(), to: [*]T, from: [*]const T) void {
            var lines: [square]V = undefined;
            inline for (0..square) |c| lines[c] = from[c * f.from_step ..][0..square].*;
            transpose(&lines);
            inline for (0..square) |r| simd.store_vector(to + r * f.to_step, lines[r]);
        }

        /// Exchanges ever smaller quadrants.
        inline fn transpose(lines: *[square]V) void {
            @setEvalBranchQuota(20000);
            comptime var distance = square / 2;
            inline while (distance > 0) : (distance /= 2) {
                inline for (0..square) |i| if (i & distance == 0) {
                    const a = lines[i];
                    const b = lines[i + distance];
                    lines[i] = @shuffle(T, a, b, mask(distance, false));
                    lines[i + distance] = @shuffle(T, a, b, mask(distance, true));
                };
            }
        }

        fn mask(comptime distance: u32, comptime upper: bool) @Vector(square, i32) {
            comptime var lanes: [square]i32 = undefined;
            inline for (0..square) |j| {
                const first = j & distance == 0;
                lanes[j] = if (upper)
                    (if (first) j + distance else ~@as(i32, j))
                else
                    (if (first) j else ~@as(i32, j - distance));
            }
            return lanes;
        }
    };
}
