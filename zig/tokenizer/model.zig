//! A byte-pair vocabulary made ready: its merges, numbered in order with the bytes first, and its tokens by their bytes.
//!
//! A token is reached by one merge only. Whatever stands around it, what happens inside of its bytes until they are two parts
//! is what happens when they stand alone: merges across its ends would have broken it. So of several merges with one result
//! (lists made from ranks name every split) the one that the token's own bytes come to is kept, the others never happen, and for
//! ranks it is found the same way. This needs merges whose parts were made before; other lists are refused.
const std = @import("std");
const failure = @import("../failure.zig");
const spec_file = @import("spec.zig");
const scan = @import("scan.zig");
const Added = @import("added.zig").Added;
const Merger = @import("merge.zig").Merger;
const Pairs = @import("pairs.zig").Pairs;
const Words = @import("words.zig").Words;

const Error = failure.Error;
const Spec = spec_file.Spec;
const none = std.math.maxInt(u32);

pub const Model = struct {
    pattern: scan.Pattern,
    bytes: []const u8,
    pairs: Pairs,
    words: Words,
    added: Added,
    /// Token of each number (0..255 the bytes, then the merges), as the tokenizer's files number them.
    tokens: std.ArrayList(u32),
    /// The two tokens that each merge joins.
    parts: std.ArrayList([2]u32),
    /// The largest token that a text may become.
    largest: u32,

    pub fn open(allocator: std.mem.Allocator, data: []const u8) Error!*Model {
        const spec = try spec_file.read(data);
        return build(allocator, &spec) catch |e| switch (e) {
            error.OutOfMemory => failure.raise(error.OutOfMemory, "no memory for a tokenizer", .{}),
            else => |other| other,
        };
    }

    fn build(allocator: std.mem.Allocator, spec: *const Spec) Error!*Model {
        const model = try create(allocator, spec);
        errdefer model.close(allocator);
        var builder: Builder = try .init(allocator, spec, model);
        defer builder.deinit();
        try builder.run();
        return model;
    }

    fn create(allocator: std.mem.Allocator, spec: *const Spec) !*Model {
        const model = try allocator.create(Model);
        errdefer allocator.destroy(model);
        const bytes = try allocator.dupe(u8, spec.bytes);
        errdefer allocator.free(bytes);
        const merges = if (spec.flags.by_rank) spec.count() else spec.merges.len;
        var pairs: Pairs = try .init(allocator, merges);
        errdefer pairs.deinit(allocator);
        model.* = .{
            .pattern = spec.pattern,
            .bytes = bytes,
            .pairs = pairs,
            .words = try .init(allocator, spec.count(), bytes),
            .added = .{},
            .tokens = .empty,
            .parts = .empty,
            .largest = spec.count() - 1,
        };
        return model;
    }

    pub fn close(model: *Model, allocator: std.mem.Allocator) void {
        model.pairs.deinit(allocator);
        model.words.deinit(allocator);
        model.added.deinit(allocator);
        model.tokens.deinit(allocator);
        model.parts.deinit(allocator);
        allocator.free(model.bytes);
        allocator.destroy(model);
    }
};

const Builder = struct {
    allocator: std.mem.Allocator,
    spec: *const Spec,
    model: *Model,
    merger: Merger,
    /// Number of each token: bytes and what merges make; none otherwise.
    numbers: []u32,
    /// Tokens that a merge asked for before they were made.
    missed: []bool,

    fn init(allocator: std.mem.Allocator, spec: *const Spec, model: *Model) !Builder {
        const numbers = try allocator.alloc(u32, spec.count());
        errdefer allocator.free(numbers);
        @memset(numbers, none);
        const missed = try allocator.alloc(bool, spec.count());
        @memset(missed, false);
        return .{
            .allocator = allocator,
            .spec = spec,
            .model = model,
            .merger = .{},
            .numbers = numbers,
            .missed = missed,
        };
    }

    fn deinit(b: *Builder) void {
        b.merger.deinit(b.allocator);
        b.allocator.free(b.numbers);
        b.allocator.free(b.missed);
    }

    fn run(b: *Builder) Error!void {
        const spec = b.spec;
        for (0..spec.count()) |i| {
            const token: u32 = @intCast(i);
            if (spec.kinds[i] != .model) continue;
            const word = spec.bytes_of(token);
            if (!b.model.words.put(spec.starts[i], @intCast(word.len), token))
                return failure.raise(error.Unsupported, "two tokens have the bytes of token {d}", .{token});
        }
        for (0..256) |byte| {
            const token = b.model.words.get(&.{@intCast(byte)});
            if (token == none)
                return failure.raise(error.Unsupported, "no token stands for the byte {d}", .{byte});
            b.numbers[token] = @intCast(byte);
            try b.model.tokens.append(b.allocator, token);
        }
        if (spec.flags.by_rank) try b.add_ranks() else try b.add_merges();
        if (!spec.flags.whole_words) try b.keep_reached();
        for (spec.added) |each|
            try b.model.added.put(b.allocator, spec.bytes_of(each[0]), each[0], each[1] == 1);
    }

    fn add_ranks(b: *Builder) Error!void {
        for (0..b.spec.count()) |i| {
            const token: u32 = @intCast(i);
            if (b.spec.kinds[i] != .model or b.numbers[i] != none) continue;
            const parts = try b.parts_of(token);
            if (parts.len == 2) try b.add(parts[0], parts[1], token);
        }
    }

    fn add_merges(b: *Builder) Error!void {
        var joined: std.ArrayList(u8) = .empty;
        defer joined.deinit(b.allocator);
        for (b.spec.merges, 0..) |merge, i| {
            joined.clearRetainingCapacity();
            for (merge) |part| try joined.appendSlice(b.allocator, b.spec.bytes_of(part));
            const token = b.model.words.get(joined.items);
            if (token == none)
                return failure.raise(error.InvalidArgument, "merge {d} makes no token", .{i});
            var made = true;
            for (merge) |part| if (b.numbers[part] == none) {
                b.missed[part] = true;
                made = false;
            };
            if (!made or b.numbers[token] != none) continue;
            const parts = try b.parts_of(token);
            if (parts.len != 2 or parts[0] != b.numbers[merge[0]] or parts[1] != b.numbers[merge[1]]) continue;
            if (b.missed[token])
                return failure.raise(error.Unsupported, "token {d} is merged before it is made", .{token});
            try b.add(parts[0], parts[1], token);
        }
    }

    fn parts_of(b: *Builder, token: u32) Error![]const u32 {
        return b.merger.merge(b.allocator, &b.model.pairs, b.spec.bytes_of(token));
    }

    fn add(b: *Builder, left: u32, right: u32, token: u32) Error!void {
        const model = b.model;
        const number: u32 = @intCast(model.tokens.items.len);
        try model.tokens.append(b.allocator, token);
        try model.parts.append(b.allocator, .{ model.tokens.items[left], model.tokens.items[right] });
        model.pairs.put(left, right, number);
        b.numbers[token] = number;
    }

    /// Words that merges do not make are not tokens of a text: the table by bytes keeps the others only.
    fn keep_reached(b: *Builder) Error!void {
        const words: Words = try .init(b.allocator, b.model.tokens.items.len, b.model.bytes);
        b.model.words.deinit(b.allocator);
        b.model.words = words;
        for (b.model.tokens.items) |token| {
            const start = b.spec.starts[token];
            _ = b.model.words.put(start, b.spec.starts[token + 1] - start, token);
        }
    }
};
