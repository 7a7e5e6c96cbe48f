//! A byte-pair vocabulary made ready: its merges, numbered in order with the bytes first, and its tokens by their bytes.
//!
//! A token is reached by one merge only. Whatever stands around it, as long as no merge crosses its ends, what happens between them
//! is what happens when its bytes stand alone: the earliest merge of all is also the earliest of these. So of several merges with
//! one result (lists made from ranks name every split) the last of those that the token's own bytes go through is kept (alone.zig),
//! the others never happen, and ranks say the same without a list.
const std = @import("std");
const failure = @import("../failure.zig");
const spec_file = @import("spec.zig");
const alone = @import("alone.zig");
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

    fn init(allocator: std.mem.Allocator, spec: *const Spec, model: *Model) !Builder {
        const numbers = try allocator.alloc(u32, spec.count());
        @memset(numbers, none);
        return .{
            .allocator = allocator,
            .spec = spec,
            .model = model,
            .merger = .{},
            .numbers = numbers,
        };
    }

    fn deinit(b: *Builder) void {
        b.merger.deinit(b.allocator);
        b.allocator.free(b.numbers);
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

    /// Merges below a token's rank bring its bytes to two parts: with merges above it, they would come to others no earlier.
    fn add_ranks(b: *Builder) Error!void {
        for (0..b.spec.count()) |i| {
            const token: u32 = @intCast(i);
            if (b.spec.kinds[i] != .model or b.numbers[i] != none) continue;
            const word = b.spec.bytes_of(token);
            const parts = try b.merger.merge(b.allocator, &b.model.pairs, word);
            if (parts.len != 2)
                return failure.raise(error.Unsupported, "nothing merges into token {d}", .{token});
            try b.number(token);
            b.join(parts[0], parts[1], b.numbers[token]);
        }
    }

    fn add_merges(b: *Builder) Error!void {
        var lasts: std.ArrayList(alone.Last) = .empty;
        defer lasts.deinit(b.allocator);
        try alone.find(b.allocator, b.spec, &b.model.words, &lasts);
        std.mem.sort(alone.Last, lasts.items, {}, alone.Last.before);
        for (lasts.items) |last| try b.number(last.token);
        // What stands for a part when it is alone is what stands for it inside of a token: it has a number.
        for (lasts.items) |last| {
            const merge = b.spec.merges[last.merge];
            b.join(b.numbers[merge[0]], b.numbers[merge[1]], b.numbers[last.token]);
        }
    }

    fn number(b: *Builder, token: u32) Error!void {
        b.numbers[token] = @intCast(b.model.tokens.items.len);
        try b.model.tokens.append(b.allocator, token);
        try b.model.parts.append(b.allocator, undefined);
    }

    fn join(b: *Builder, left: u32, right: u32, result: u32) void {
        const tokens = b.model.tokens.items;
        b.model.parts.items[result - 256] = .{ tokens[left], tokens[right] };
        b.model.pairs.put(left, right, result);
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
