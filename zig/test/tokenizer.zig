//! The whole encoder on small vocabularies: damaged descriptions are refused or harmless, no byte of any text is lost, and the
//! number of threads changes nothing.
const std = @import("std");
const testing = std.testing;
const encode = @import("../tokenizer/encode.zig");
const parallel = @import("../tokenizer/parallel.zig");
const scan = @import("../tokenizer/scan.zig");
const spec = @import("../tokenizer/spec.zig");
const Model = @import("../tokenizer/model.zig").Model;

const words = [_][]const u8{
    "ab",      "abc",  "th",       "the", " the", "\n\n",
    "aa",      "aaaa", "\xe4\xb8",
    "中",
    "<|end|>",
};

/// 256 bytes, then `words`, the last of which is an added token.
fn describe(list: *std.ArrayList(u8), family: u32, by_rank: bool) !void {
    const tokens = 256 + words.len;
    const merges = [_][2]u32{
        .{ 'a', 'b' },   .{ 256, 'c' }, .{ 't', 'h' }, .{ 258, 'e' },   .{ ' ', 259 },
        .{ '\n', '\n' }, .{ 'a', 'a' }, .{ 262, 262 }, .{ 0xe4, 0xb8 }, .{ 264, 0xad },
    };
    const merge_count: u32 = if (by_rank) 0 else merges.len;
    var bytes: u32 = 256;
    for (words) |word| bytes += @intCast(word.len);
    const flags: u32 = if (by_rank) 4 else 2;
    for ([_]u32{ spec.magic, spec.version, family, 3, flags, tokens, merge_count, 1, bytes }) |each|
        try put(list, each);
    for (0..256) |byte| try put(list, @intCast(byte));
    var start: u32 = 256;
    for (words) |word| {
        try put(list, start);
        start += @intCast(word.len);
    }
    try put(list, start);
    if (!by_rank) for (merges) |merge| for (merge) |part| try put(list, part);
    try put(list, tokens - 1);
    try put(list, 1);
    try list.appendNTimes(testing.allocator, 1, tokens - 1);
    try list.append(testing.allocator, 2);
    for (0..256) |byte| try list.append(testing.allocator, @intCast(byte));
    for (words) |word| try list.appendSlice(testing.allocator, word);
}

fn put(list: *std.ArrayList(u8), value: u32) !void {
    try list.appendSlice(testing.allocator, std.mem.asBytes(&value));
}

fn random_text(random: std.Random, out: []u8) void {
    const pieces = [_][]const u8{
        "the ", "abc",      "\n",                          "A1 ",
        "中文",
        "\xff", "\xe4\xb8", "<|end|>",                     "<|",
        "'s ",  "  ",       "aaaaaaaaaaaaaaaaaaaaaaaaaaa", "\u{301}",
    };
    var at: usize = 0;
    while (at < out.len) {
        if (random.uintLessThan(u8, 5) == 0) {
            out[at] = random.int(u8);
            at += 1;
            continue;
        }
        const piece = pieces[random.uintLessThan(usize, pieces.len)];
        const len = @min(piece.len, out.len - at);
        @memcpy(out[at..][0..len], piece[0..len]);
        at += len;
    }
}

fn encode_all(model: *const Model, context: *encode.Context, text: []const u8, out: []u32) ![]u32 {
    var encoding: encode.Encoding(u32) = .{
        .allocator = testing.allocator,
        .model = model,
        .context = context,
        .out = out.ptr,
    };
    try encoding.text(text, .all);
    return out[0..encoding.count];
}

fn expect_text(
    model: *const Model,
    data: *const spec.Spec,
    text: []const u8,
    ids: []const u32,
) !void {
    var at: usize = 0;
    for (ids) |id| {
        try testing.expect(id <= model.largest);
        const bytes = data.bytes_of(id);
        try testing.expect(std.mem.startsWith(u8, text[at..], bytes));
        at += bytes.len;
    }
    try testing.expectEqual(text.len, at);
}

test "no byte is lost, by any pattern and any number of threads" {
    const allocator = testing.allocator;
    var prng: std.Random.DefaultPrng = .init(3);
    const text = try allocator.alloc(u8, 900 << 10);
    defer allocator.free(text);
    const one = try allocator.alloc(u32, text.len);
    defer allocator.free(one);
    const many = try allocator.alloc(u32, text.len);
    defer allocator.free(many);
    const context: *encode.Context = try .create(allocator);
    defer context.destroy(allocator);
    for (0..3) |family| {
        @memset(&context.cache, .{});
        var list: std.ArrayList(u8) = .empty;
        defer list.deinit(allocator);
        try describe(&list, @intCast(family), false);
        const data = try spec.read(list.items);
        const model = try Model.open(allocator, list.items);
        defer model.close(allocator);
        random_text(prng.random(), text);
        const ids = try encode_all(model, context, text, one);
        try expect_text(model, &data, text, ids);
        var contexts: encode.Contexts = .{};
        defer contexts.deinit(allocator);
        const count = try parallel.run(u32, allocator, model, &contexts, text, .all, many.ptr, 3);
        try testing.expectEqualSlices(u32, ids, many[0..count]);
        for (0..300) |_| {
            const part = text[0..prng.random().uintLessThan(usize, 40)];
            random_text(prng.random(), part);
            try expect_text(model, &data, part, try encode_all(model, context, part, one));
        }
    }
}

test "a text is cut only where a word starts in any case" {
    var prng: std.Random.DefaultPrng = .init(5);
    var text: [4000]u8 = undefined;
    var starts: [text.len]bool = undefined;
    var cuts: usize = 0;
    for (0..20) |_| {
        random_text(prng.random(), &text);
        inline for (.{ scan.Family.gpt2, .gpt4, .gpt4o }) |family| {
            const pattern: scan.Pattern = .{ .family = family, .digits = 3, .end_first = true };
            @memset(&starts, false);
            var at: usize = 0;
            while (at < text.len) : (at = scan.word_end(family, pattern, &text, at))
                starts[at] = true;
            for (1..text.len) |place| if (scan.is_boundary(&text, place)) {
                try testing.expect(starts[place]);
                cuts += 1;
            };
        }
    }
    try testing.expect(cuts > 1000);
}

test "damaged descriptions are refused or harmless" {
    const allocator = testing.allocator;
    var prng: std.Random.DefaultPrng = .init(4);
    const random = prng.random();
    var text: [200]u8 = undefined;
    var ids: [text.len]u32 = undefined;
    const context: *encode.Context = try .create(allocator);
    defer context.destroy(allocator);
    var opened: usize = 0;
    for (0..4000) |round| {
        var list: std.ArrayList(u8) = .empty;
        defer list.deinit(allocator);
        try describe(&list, random.uintLessThan(u32, 3), round % 4 == 0);
        for (0..random.uintLessThan(usize, 4)) |_| {
            // Half of the damage in the counts and offsets, where it matters most.
            const range = if (random.boolean()) list.items.len else 64;
            list.items[random.uintLessThan(usize, range)] = random.int(u8);
        }
        if (random.uintLessThan(u8, 8) == 0)
            list.shrinkRetainingCapacity(random.uintLessThan(usize, list.items.len));
        const model = Model.open(allocator, list.items) catch continue;
        defer model.close(allocator);
        opened += 1;
        @memset(&context.cache, .{});
        random_text(random, &text);
        for (try encode_all(model, context, &text, &ids)) |id|
            try testing.expect(id <= model.largest);
    }
    try testing.expect(opened > 100);
}

test "one word of a megabyte among threads" {
    const allocator = testing.allocator;
    var list: std.ArrayList(u8) = .empty;
    defer list.deinit(allocator);
    try describe(&list, 1, false);
    const model = try Model.open(allocator, list.items);
    defer model.close(allocator);
    const text = try allocator.alloc(u8, 999 << 10);
    defer allocator.free(text);
    for (text, 0..) |*byte, i| byte.* = "中"[i % 3];
    const out = try allocator.alloc(u32, text.len);
    defer allocator.free(out);
    var contexts: encode.Contexts = .{};
    defer contexts.deinit(allocator);
    const count = try parallel.run(u32, allocator, model, &contexts, text, .all, out.ptr, 3);
    try testing.expectEqual(text.len / 3, count);
}
