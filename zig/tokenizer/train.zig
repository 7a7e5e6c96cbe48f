//! Learns merges from text: the words of a pattern are counted, then the most frequent pair of neighbours is merged in all words
//! that have it, again and again. Each merge changes the counts of the pairs around it only. Of pairs that are equally frequent the one
//! with the lower numbers wins, so that the result is the one of Hugging Face's trainer.
const std = @import("std");
const failure = @import("../failure.zig");
const handles = @import("../handles.zig");
const scan = @import("scan.zig");
const Heap = @import("heap.zig").Heap;

const Error = failure.Error;
const allocator = std.heap.c_allocator;

const Word = struct { start: u32, len: u32, count: u64 };
const PairOf = [2]u32;
const Pair = struct { count: i64, words: std.ArrayList(u32) };
const Candidate = struct { count: i64, pair: PairOf };

fn before(a: Candidate, b: Candidate) bool {
    if (a.count != b.count) return a.count > b.count;
    return a.pair[0] < b.pair[0] or (a.pair[0] == b.pair[0] and a.pair[1] < b.pair[1]);
}

pub const Trainer = struct {
    pattern: scan.Pattern,
    arena: std.heap.ArenaAllocator,
    counts: std.StringHashMapUnmanaged(u64) = .empty,
    merges: std.ArrayList(PairOf) = .empty,

    /// Counts the words of a text; of one that goes on (`last` false) only those up to the last place where it may be cut.
    /// Returns how many bytes were counted: the rest belongs before what comes next.
    fn add(trainer: *Trainer, text: []const u8, last: bool) !usize {
        // A character at the end may be cut.
        var end = if (last) text.len else text.len -| 4;
        while (!last and end > 0 and !scan.is_boundary(text, end)) end -= 1;
        var at: usize = 0;
        while (at < end) {
            const stop = switch (trainer.pattern.family) {
                inline else => |family| scan.word_end(family, trainer.pattern, text, at),
            };
            const found = try trainer.counts.getOrPut(allocator, text[at..stop]);
            if (!found.found_existing) {
                found.key_ptr.* = try trainer.arena.allocator().dupe(u8, text[at..stop]);
                found.value_ptr.* = 0;
            }
            found.value_ptr.* += 1;
            at = stop;
        }
        return end;
    }

    fn close(trainer: *Trainer) void {
        trainer.counts.deinit(allocator);
        trainer.merges.deinit(allocator);
        trainer.arena.deinit();
        allocator.destroy(trainer);
    }
};

/// The words as numbers, and the pairs in them.
const Learning = struct {
    words: std.ArrayList(Word) = .empty,
    symbols: std.ArrayList(u32) = .empty,
    pairs: std.AutoHashMapUnmanaged(PairOf, Pair) = .empty,
    heap: Heap(Candidate, before) = .{},
    /// Pairs that came into being with the merge that is done.
    fresh: std.ArrayList(PairOf) = .empty,

    fn deinit(l: *Learning) void {
        var pairs = l.pairs.valueIterator();
        while (pairs.next()) |pair| pair.words.deinit(allocator);
        l.pairs.deinit(allocator);
        l.words.deinit(allocator);
        l.symbols.deinit(allocator);
        l.heap.deinit(allocator);
        l.fresh.deinit(allocator);
    }

    fn read(l: *Learning, counts: *const std.StringHashMapUnmanaged(u64)) !void {
        var entries = counts.iterator();
        while (entries.next()) |entry| {
            const bytes = entry.key_ptr.*;
            if (bytes.len < 2) continue;
            if (l.symbols.items.len + bytes.len > std.math.maxInt(u32)) return error.OutOfMemory;
            const word: u32 = @intCast(l.words.items.len);
            try l.words.append(allocator, .{
                .start = @intCast(l.symbols.items.len),
                .len = @intCast(bytes.len),
                .count = entry.value_ptr.*,
            });
            for (bytes) |byte| try l.symbols.append(allocator, number_of(byte));
            const symbols = l.symbols.items[l.symbols.items.len - bytes.len ..];
            for (symbols[0 .. symbols.len - 1], symbols[1..]) |left, right|
                try l.more(.{ left, right }, word);
        }
        for (l.fresh.items) |pair| try l.offer(pair);
        l.fresh.clearRetainingCapacity();
    }

    fn offer(l: *Learning, pair: PairOf) !void {
        const count = l.pairs.get(pair).?.count;
        if (count > 0) try l.heap.push(allocator, .{ .count = count, .pair = pair });
    }

    fn more(l: *Learning, pair: PairOf, word: u32) !void {
        const found = try l.pairs.getOrPut(allocator, pair);
        if (!found.found_existing) {
            found.value_ptr.* = .{ .count = 0, .words = .empty };
            try l.fresh.append(allocator, pair);
        }
        const value = found.value_ptr;
        value.count += @intCast(l.words.items[word].count);
        const words = &value.words;
        if (words.items.len == 0 or words.items[words.items.len - 1] != word)
            try words.append(allocator, word);
    }

    fn less(l: *Learning, pair: PairOf, word: u32) void {
        const value = l.pairs.getPtr(pair) orelse return;
        value.count -= @intCast(l.words.items[word].count);
    }

    /// The most frequent pair, or null when none is as frequent as `least`.
    fn best(l: *Learning, least: i64) !?PairOf {
        while (l.heap.pop()) |top| {
            const count = (l.pairs.get(top.pair) orelse continue).count;
            if (count != top.count) {
                if (count > 0) try l.heap.push(allocator, .{ .count = count, .pair = top.pair });
                continue;
            }
            return if (count >= least) top.pair else null;
        }
        return null;
    }

    fn merge(l: *Learning, pair: PairOf, result: u32) !void {
        var removed = l.pairs.fetchRemove(pair).?.value;
        defer removed.words.deinit(allocator);
        for (removed.words.items) |word| try l.merge_in(word, pair, result);
        for (l.fresh.items) |each| try l.offer(each);
        l.fresh.clearRetainingCapacity();
    }

    fn merge_in(l: *Learning, index: u32, pair: PairOf, result: u32) !void {
        const word = &l.words.items[index];
        const symbols = l.symbols.items[word.start..][0..word.len];
        var to: usize = 0;
        var from: usize = 0;
        while (from < symbols.len) : (to += 1) {
            const here = from + 1 < symbols.len and
                symbols[from] == pair[0] and symbols[from + 1] == pair[1];
            if (!here) {
                symbols[to] = symbols[from];
                from += 1;
                continue;
            }
            if (to > 0) {
                l.less(.{ symbols[to - 1], pair[0] }, index);
                try l.more(.{ symbols[to - 1], result }, index);
            }
            symbols[to] = result;
            from += 2;
            if (from < symbols.len) {
                l.less(.{ pair[1], symbols[from] }, index);
                try l.more(.{ result, symbols[from] }, index);
            }
        }
        word.len = @intCast(to);
    }
};

fn is_printable(byte: u32) bool {
    return (byte >= 0x21 and byte <= 0x7e) or (byte >= 0xa1 and byte <= 0xac) or byte >= 0xae;
}

/// Bytes are numbered as the characters that stand for them in vocabularies are: printable ones first.
const numbers: [256]u32 = blk: {
    @setEvalBranchQuota(10_000);
    var table: [256]u32 = undefined;
    var next: u32 = 0;
    for ([_]bool{ true, false }) |printable| for (0..256) |byte| {
        if (is_printable(byte) != printable) continue;
        table[byte] = next;
        next += 1;
    };
    break :blk table;
};

fn number_of(byte: u8) u32 {
    return numbers[byte];
}

pub fn open(family_number: i64, digits: i64) Error!i64 {
    const family = std.enums.fromInt(scan.Family, family_number) orelse
        return failure.raise(error.InvalidArgument, "unknown pattern {d}", .{family_number});
    if (digits < 0 or digits > 255 or (digits == 0 and family != .gpt2))
        return failure.raise(error.InvalidArgument, "words of {d} digits", .{digits});
    const trainer = allocator.create(Trainer) catch return no_memory();
    errdefer allocator.destroy(trainer);
    trainer.* = .{
        .pattern = .{ .family = family, .digits = @intCast(digits), .end_first = false },
        .arena = .init(allocator),
    };
    return handles.add(.trainer, trainer);
}

pub fn close(handle: i64) Error!void {
    const trainer = try handles.get(Trainer, .trainer, handle);
    try handles.remove(.trainer, handle);
    trainer.close();
}

pub fn add(handle: i64, text: []const u8, last: bool) Error!i64 {
    const trainer = try handles.get(Trainer, .trainer, handle);
    return @intCast(trainer.add(text, last) catch return no_memory());
}

/// Learns up to `wanted` merges of pairs that occur at least `least` times; returns how many.
pub fn learn(handle: i64, wanted: i64, least: i64) Error!i64 {
    const trainer = try handles.get(Trainer, .trainer, handle);
    if (wanted < 0 or wanted > 1 << 20)
        return failure.raise(error.InvalidArgument, "{d} merges", .{wanted});
    run(trainer, @intCast(wanted), @max(1, least)) catch return no_memory();
    return @intCast(trainer.merges.items.len);
}

fn run(trainer: *Trainer, wanted: usize, least: i64) !void {
    trainer.merges.clearRetainingCapacity();
    var learning: Learning = .{};
    defer learning.deinit();
    try learning.read(&trainer.counts);
    while (trainer.merges.items.len < wanted) {
        const pair = try learning.best(least) orelse break;
        try learning.merge(pair, @intCast(256 + trainer.merges.items.len));
        try trainer.merges.append(allocator, pair);
    }
}

/// The merges, as pairs of numbers; writes those that fit and returns how many there are.
pub fn learned(handle: i64, out: []u8) Error!i64 {
    const trainer = try handles.get(Trainer, .trainer, handle);
    const merges = std.mem.sliceAsBytes(trainer.merges.items);
    const bytes = @min(merges.len, out.len / 8 * 8);
    @memcpy(out[0..bytes], merges[0..bytes]);
    return @intCast(trainer.merges.items.len);
}

fn no_memory() Error {
    return failure.raise(error.OutOfMemory, "no memory to learn a vocabulary", .{});
}

test "the most frequent pairs are merged, equals by their numbers" {
    const handle = try open(@intFromEnum(scan.Family.gpt2), 0);
    defer close(handle) catch unreachable;
    const text = "abab abab\ncab";
    const taken: usize = @intCast(try add(handle, text, false));
    _ = try add(handle, text[taken..], true);
    try std.testing.expectEqual(2, try learn(handle, 2, 2));
    var out: [4]u32 = undefined;
    _ = try learned(handle, std.mem.sliceAsBytes(&out));
    try std.testing.expectEqualSlices(u32, &.{ number_of('a'), number_of('b'), 256, 256 }, &out);
    // What is left, " abab" and "cab", is there once.
    try std.testing.expectEqual(2, try learn(handle, 100, 2));
    try std.testing.expectEqual(4, try learn(handle, 100, 1));
}
