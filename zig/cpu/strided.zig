//! Strided iteration over several operands of equal dims: dims of size 1 dropped, neighbours merged where every
//! operand allows it, so that contiguous tensors become one dimension and a bias row becomes two.
const std = @import("std");
const abi = @import("../abi.zig");

const Operand = abi.Operand;

/// Above this an element count is refused: products and tile counts (u32) cannot overflow below it.
pub const count_max: u64 = 1 << 36;

/// Number of elements, or null when the product of the non-zero dims exceeds `count_max`: no product of any of the
/// dims overflows then. Broadcast and empty dims make any product possible otherwise.
pub fn checked_count(o: *const Operand) ?u64 {
    var n: u64 = 1;
    var empty = false;
    for (o.dims[0..o.rank]) |d| {
        n *= @max(1, d);
        if (d == 0) empty = true;
        if (n > count_max) return null;
    }
    return if (empty) 0 else n;
}

/// Contiguous with a sane element count: what opcode rows call C.
pub fn is_dense(o: *const Operand) bool {
    const n = checked_count(o) orelse return false;
    return n == 0 or o.is_contiguous();
}

pub const sources_max = 9;

/// Dims from outer to inner and the strides of each source over them.
pub const Nest = struct {
    rank: u32 = 0,
    dims: [abi.rank_max]u64 = @splat(1),
    sources: u32,
    strides: [sources_max][abi.rank_max]u64 = @splat(@splat(0)),

    pub fn init(sources: u32) Nest {
        std.debug.assert(sources <= sources_max);
        return .{ .sources = sources };
    }

    /// Appends a dimension as the new innermost one, merged with its neighbour when all sources allow.
    /// The caller appends no dimension of size 0.
    pub fn append(nest: *Nest, size: u64, strides: []const u64) void {
        std.debug.assert(strides.len == nest.sources and size > 0);
        if (size == 1) return;
        if (nest.rank > 0) {
            const outer = nest.rank - 1;
            const mergeable = for (strides, 0..) |stride, s| {
                if (nest.strides[s][outer] != stride * size) break false;
            } else true;
            if (mergeable) {
                nest.dims[outer] *= size;
                for (strides, 0..) |stride, s| nest.strides[s][outer] = stride;
                return;
            }
        }
        nest.dims[nest.rank] = size;
        for (strides, 0..) |stride, s| nest.strides[s][nest.rank] = stride;
        nest.rank += 1;
    }

    pub fn inner(nest: *const Nest) u64 {
        return if (nest.rank == 0) 1 else nest.dims[nest.rank - 1];
    }

    pub fn inner_stride(nest: *const Nest, source: usize) u64 {
        return if (nest.rank == 0) 0 else nest.strides[source][nest.rank - 1];
    }

    pub fn count(nest: *const Nest) u64 {
        var n: u64 = 1;
        for (nest.dims[0..nest.rank]) |d| n *= d;
        return n;
    }

    /// Whether a source's elements lie in memory exactly in iteration order.
    pub fn dense(nest: *const Nest, source: usize) bool {
        var step: u64 = 1;
        var d = nest.rank;
        while (d > 0) {
            d -= 1;
            if (nest.strides[source][d] != step) return false;
            step *= nest.dims[d];
        }
        return true;
    }

    /// Whether a source is one element, repeated.
    pub fn single(nest: *const Nest, source: usize) bool {
        for (nest.strides[source][0..nest.rank]) |stride| if (stride != 0) return false;
        return true;
    }

    /// Index per outer dim (all but the innermost) of row `row`.
    pub fn row_index(nest: *const Nest, row: u64) [abi.rank_max]u64 {
        var index: [abi.rank_max]u64 = @splat(0);
        if (nest.rank < 2) return index;
        var rest = row;
        var d = nest.rank - 1;
        while (d > 0 and rest > 0) {
            d -= 1;
            index[d] = rest % nest.dims[d];
            rest /= nest.dims[d];
        }
        return index;
    }

    /// Offset in elements of a row's first element.
    pub fn offset(nest: *const Nest, source: usize, index: *const [abi.rank_max]u64) u64 {
        var at: u64 = 0;
        if (nest.rank < 2) return at;
        for (0..nest.rank - 1) |d| at += index[d] * nest.strides[source][d];
        return at;
    }

    /// Steps to the next row and gives the source's offset there, from its offset `at` here.
    pub fn next_row(nest: *const Nest, source: usize, index: *[abi.rank_max]u64, at: u64) u64 {
        if (nest.rank < 2) return at;
        var o = at;
        var d = nest.rank - 1;
        while (d > 0) {
            d -= 1;
            index[d] += 1;
            o += nest.strides[source][d];
            if (index[d] < nest.dims[d]) return o;
            o -= nest.strides[source][d] * nest.dims[d];
            index[d] = 0;
        }
        return o;
    }
};

pub fn tile_count(n: u64, size: u64) u32 {
    return @intCast((n + size - 1) / size);
}

test "counts that no buffer could hold" {
    var o: Operand = undefined;
    o.rank = 4;
    o.dims = @splat(0xffffffff);
    try std.testing.expectEqual(null, checked_count(&o));
    o.dims[3] = 0;
    try std.testing.expectEqual(null, checked_count(&o));
    o.dims = .{ 3, 0, 5, 7, 0, 0, 0, 0 };
    try std.testing.expectEqual(0, checked_count(&o));
    o.rank = 1;
    try std.testing.expectEqual(3, checked_count(&o));
}

test "merging of dims" {
    var nest = Nest.init(2);
    // [4, 1, 3, 5]: the second source repeats its rows.
    nest.append(4, &.{ 15, 0 });
    nest.append(1, &.{ 77, 99 });
    nest.append(3, &.{ 5, 0 });
    nest.append(5, &.{ 1, 1 });
    try std.testing.expectEqual(@as(u32, 2), nest.rank);
    try std.testing.expectEqual(@as(u64, 12), nest.dims[0]);
    try std.testing.expectEqual(@as(u64, 5), nest.inner());
    try std.testing.expect(nest.dense(0) and !nest.dense(1) and !nest.single(1));
    var index = nest.row_index(7);
    try std.testing.expectEqual(@as(u64, 35), nest.offset(0, &index));
    try std.testing.expectEqual(@as(u64, 40), nest.next_row(0, &index, 35));
    try std.testing.expectEqual(@as(u64, 8), index[0]);
}
