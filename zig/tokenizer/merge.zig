//! Byte-pair merging of one word: as long as two neighbours merge, the earliest merge (the leftmost of equals) is done.
//! A short word is a row of tokens whose smallest merge is looked for anew each time; a long one keeps its merges in a heap, so
//! that a megabyte of one letter takes n log n.
const std = @import("std");
const pairs_file = @import("pairs.zig");
const Pairs = pairs_file.Pairs;
const Smallest = @import("heap.zig").Smallest;
const none = pairs_file.none;

/// Where the heap becomes the faster way.
pub const short_max = 192;

const lanes = 8;
const Row = @Vector(lanes, u32);

/// Scratch of one thread.
pub const Merger = struct {
    ids: [short_max + lanes]u32 = undefined,
    /// Result of merging token i with token i + 1; `none` from the last token on.
    results: [short_max + lanes]u32 = undefined,
    long: std.ArrayList(u32) = .empty,
    nodes: std.ArrayList(Node) = .empty,
    heap: Smallest = .{},

    pub fn deinit(m: *Merger, allocator: std.mem.Allocator) void {
        m.long.deinit(allocator);
        m.nodes.deinit(allocator);
        m.heap.deinit(allocator);
    }

    /// The word's tokens, in memory that lasts until the next call. Only merges into tokens below `limit` are done.
    pub fn merge(
        m: *Merger,
        allocator: std.mem.Allocator,
        pairs: *const Pairs,
        word: []const u8,
    ) ![]const u32 {
        std.debug.assert(word.len > 0);
        if (word.len <= short_max) return m.merge_short(pairs, word);
        return m.merge_long(allocator, pairs, word);
    }

    fn merge_short(m: *Merger, pairs: *const Pairs, word: []const u8) []const u32 {
        @setRuntimeSafety(false); // word.len <= short_max; every index below stays under `count`.
        const ids = &m.ids;
        const results = &m.results;
        var count = word.len;
        for (word, 0..) |byte, i| ids[i] = byte;
        for (0..count - 1) |i| results[i] = of_bytes(pairs, word[i], word[i + 1]);
        for (count - 1..count - 1 + lanes) |i| results[i] = none;
        while (true) {
            const smallest = smallest_of(results, count);
            if (smallest == none) return ids[0..count];
            const at = place_of(results, smallest);
            // Token `at` takes the place of itself and its neighbour; the rest moves up.
            ids[at] = smallest;
            count -= 1;
            move_up(ids, at + 1, count);
            move_up(results, at + 1, count);
            results[count] = none;
            results[count - 1] = none;
            if (at + 1 < count) results[at] = pairs.get(smallest, ids[at + 1]);
            if (at > 0) results[at - 1] = pairs.get(ids[at - 1], smallest);
        }
    }

    fn smallest_of(results: *const [short_max + lanes]u32, count: usize) u32 {
        @setRuntimeSafety(false);
        var row: Row = results[0..lanes].*;
        var i: usize = lanes;
        while (i < count) : (i += lanes) row = @min(row, @as(Row, results[i..][0..lanes].*));
        return @reduce(.Min, row);
    }

    /// Of the first that is the smallest, which is there.
    inline fn place_of(results: *const [short_max + lanes]u32, smallest: u32) usize {
        @setRuntimeSafety(false);
        const wanted: Row = @splat(smallest);
        var i: usize = 0;
        while (true) : (i += lanes) {
            const hits: u8 = @bitCast(@as(Row, results[i..][0..lanes].*) == wanted);
            if (hits != 0) return i + @ctz(hits);
        }
    }

    /// row[i] = row[i + 1] for i in [from, to), a vector at a time; what lies beyond is written, too, and never read.
    inline fn move_up(row: *[short_max + lanes]u32, from: usize, to: usize) void {
        @setRuntimeSafety(false);
        var i = from;
        while (i < to) : (i += lanes) {
            const next: Row = row[i + 1 ..][0..lanes].*;
            row[i..][0..lanes].* = next;
        }
    }

    fn merge_long(
        m: *Merger,
        allocator: std.mem.Allocator,
        pairs: *const Pairs,
        word: []const u8,
    ) ![]const u32 {
        if (word.len >= absent) return error.OutOfMemory;
        const count: u32 = @intCast(word.len);
        try m.nodes.resize(allocator, count);
        m.heap.items.clearRetainingCapacity();
        // Every merge takes one away and brings two at most.
        try m.heap.items.ensureTotalCapacity(allocator, @as(usize, count) * 2);
        const nodes = m.nodes.items;
        for (nodes, word, 0..) |*node, byte, i| node.* = .{
            .id = byte,
            .result = if (i + 1 < count) of_bytes(pairs, byte, word[i + 1]) else none,
            .before = if (i == 0) absent else @intCast(i - 1),
            .after = if (i + 1 < count) @intCast(i + 1) else absent,
        };
        for (nodes, 0..) |node, i| {
            if (node.result != none) m.heap.push_assume_capacity(entry(node.result, @intCast(i)));
        }
        while (m.heap.pop()) |top| {
            const at: u32 = @truncate(top);
            // The node may have gone or merged since.
            if (nodes[at].result != top >> 32) continue;
            m.join(pairs, at);
        }
        m.long.clearRetainingCapacity();
        try m.long.ensureTotalCapacity(allocator, count);
        var at: u32 = 0;
        while (at != absent) : (at = nodes[at].after) m.long.appendAssumeCapacity(nodes[at].id);
        return m.long.items;
    }

    fn join(m: *Merger, pairs: *const Pairs, at: u32) void {
        const nodes = m.nodes.items;
        const node = &nodes[at];
        const gone = &nodes[node.after];
        node.id = node.result;
        node.after = gone.after;
        gone.result = none;
        if (node.after != absent) nodes[node.after].before = at;
        m.renew(pairs, at);
        if (node.before != absent) m.renew(pairs, node.before);
    }

    fn renew(m: *Merger, pairs: *const Pairs, at: u32) void {
        const nodes = m.nodes.items;
        const node = &nodes[at];
        node.result = if (node.after == absent) none else pairs.get(node.id, nodes[node.after].id);
        if (node.result != none) m.heap.push_assume_capacity(entry(node.result, at));
    }
};

inline fn of_bytes(pairs: *const Pairs, left: u8, right: u8) u32 {
    return pairs.of_bytes[@as(usize, left) << 8 | right];
}

const absent = std.math.maxInt(u32);

/// One token of a long word, in a list.
const Node = struct { id: u32, result: u32, before: u32, after: u32 };

/// Ordered by merge, then by place.
fn entry(result: u32, at: u32) u64 {
    return @as(u64, result) << 32 | at;
}

/// The definition, to test against.
fn merge_plain(pairs: *const Pairs, ids: *std.ArrayList(u32)) void {
    while (true) {
        var best: u32 = none;
        var at: usize = 0;
        for (0..ids.items.len -| 1) |i| {
            const result = pairs.get(ids.items[i], ids.items[i + 1]);
            if (result < best) {
                best = result;
                at = i;
            }
        }
        if (best == none) return;
        ids.items[at] = best;
        _ = ids.orderedRemove(at + 1);
    }
}

fn any_part(random: std.Random, next: u32) u32 {
    if (random.boolean()) return 'a' + random.uintLessThan(u32, 3);
    return random.intRangeLessThan(u32, 255, next);
}

test "short and long words merge as the definition says" {
    const allocator = std.testing.allocator;
    var prng: std.Random.DefaultPrng = .init(7);
    const random = prng.random();
    var merger: Merger = .{};
    defer merger.deinit(allocator);
    for (0..60) |round| {
        var pairs: Pairs = try .init(allocator, 64);
        defer pairs.deinit(allocator);
        // Merges of a few letters and of each other, so that they compete.
        var next: u32 = 256;
        while (next < 256 + 60) : (next += 1) {
            const left = any_part(random, next);
            const right = any_part(random, next);
            if (pairs.get(left, right) == none) pairs.put(left, right, next);
        }
        var word: [700]u8 = undefined;
        const len = if (round % 2 == 0)
            random.intRangeAtMost(usize, 1, short_max)
        else
            random.intRangeAtMost(usize, short_max + 1, 700);
        for (word[0..len]) |*byte| byte.* = 'a' + random.uintLessThan(u8, 3);
        var expected: std.ArrayList(u32) = .empty;
        defer expected.deinit(allocator);
        for (word[0..len]) |byte| try expected.append(allocator, byte);
        merge_plain(&pairs, &expected);
        const got = try merger.merge(allocator, &pairs, word[0..len]);
        try std.testing.expectEqualSlices(u32, expected.items, got);
        if (len <= short_max) {
            const long = try merger.merge_long(allocator, &pairs, word[0..len]);
            try std.testing.expectEqualSlices(u32, expected.items, long);
        }
    }
}
