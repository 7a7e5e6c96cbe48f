//! What TypeScript says of a tokenizer (src/runtime/tokenizer.ts writes it), read without trust: 32-bit little-endian words
//! `magic, version, family, digits, flags, tokens, merges, added, bytes`, then `starts[tokens + 1]`, `merges[2 * merges]`
//! (left and right token), `added[2 * added]` (token, 1 if special), and then, as bytes, `kinds[tokens]` and the tokens' bytes.
const std = @import("std");
const failure = @import("../failure.zig");
const scan = @import("scan.zig");

const Error = failure.Error;

pub const magic = 0x45504274; // "tBPE"
pub const version = 1;

pub const Flags = packed struct(u32) {
    /// White space at a text's end is one word (`end_first` of the pattern).
    end_first: bool,
    /// A word that is a token is that token, whatever its merges say.
    whole_words: bool,
    /// There is no list of merges: a token's id is its rank, as in tiktoken.
    by_rank: bool,
    reserved: u29,
};

pub const Kind = enum(u8) {
    /// The id is not taken.
    none = 0,
    /// Of the model.
    model = 1,
    /// Found in a text only as an added token.
    added = 2,
    _,
};

const Header = extern struct {
    magic: u32,
    version: u32,
    family: u32,
    digits: u32,
    flags: u32,
    tokens: u32,
    merges: u32,
    added: u32,
    bytes: u32,
};

pub const Spec = struct {
    pattern: scan.Pattern,
    flags: Flags,
    starts: []align(1) const u32,
    merges: []align(1) const [2]u32,
    added: []align(1) const [2]u32,
    kinds: []const Kind,
    bytes: []const u8,

    pub fn count(spec: *const Spec) u32 {
        return @intCast(spec.kinds.len);
    }

    pub fn bytes_of(spec: *const Spec, token: u32) []const u8 {
        return spec.bytes[spec.starts[token]..spec.starts[token + 1]];
    }
};

/// More tokens than pairs.zig can number are no tokenizer in use.
const tokens_max = 1 << 20;

fn bad(comptime format: []const u8, args: anytype) Error {
    return failure.raise(error.InvalidArgument, "tokenizer: " ++ format, args);
}

/// A view of `data`, which must outlive it.
pub fn read(data: []const u8) Error!Spec {
    if (data.len < @sizeOf(Header)) return bad("{d} bytes are too few", .{data.len});
    const header: *align(1) const Header = @ptrCast(data.ptr);
    if (header.magic != magic or header.version != version)
        return bad("unknown format {x} version {d}", .{ header.magic, header.version });
    const family = std.enums.fromInt(scan.Family, header.family) orelse
        return bad("unknown pattern {d}", .{header.family});
    const flags: Flags = @bitCast(header.flags);
    if (header.digits > 255 or flags.reserved != 0) return bad("unknown flags", .{});
    if (header.digits == 0 and family != .gpt2) return bad("words of no digits", .{});
    const tokens: u64 = header.tokens;
    if (tokens == 0 or tokens > tokens_max) return bad("{d} tokens", .{tokens});
    const words = tokens + 1 + 2 * @as(u64, header.merges) + 2 * @as(u64, header.added);
    const expected = @sizeOf(Header) + 4 * words + tokens + header.bytes;
    if (data.len != expected) return bad("{d} bytes, expected {d}", .{ data.len, expected });
    var rest = data[@sizeOf(Header)..];
    const spec: Spec = .{
        .pattern = .{
            .family = family,
            .digits = @intCast(header.digits),
            .end_first = flags.end_first,
        },
        .flags = flags,
        .starts = take(u32, &rest, header.tokens + 1),
        .merges = take([2]u32, &rest, header.merges),
        .added = take([2]u32, &rest, header.added),
        .kinds = take(Kind, &rest, header.tokens),
        .bytes = rest,
    };
    try check(&spec);
    return spec;
}

fn take(comptime T: type, rest: *[]const u8, count: u32) []align(1) const T {
    const bytes = @as(usize, count) * @sizeOf(T);
    defer rest.* = rest.*[bytes..];
    return @as([*]align(1) const T, @ptrCast(rest.ptr))[0..count];
}

fn check(spec: *const Spec) Error!void {
    const tokens = spec.count();
    if (spec.starts[0] != 0 or spec.starts[tokens] != spec.bytes.len)
        return bad("the tokens do not fill their bytes", .{});
    for (spec.starts[0..tokens], spec.starts[1..], spec.kinds, 0..) |start, end, kind, token| {
        if (start > end or end > spec.bytes.len) return bad("token {d} has no bytes", .{token});
        switch (kind) {
            .none, .model, .added => {},
            _ => return bad("token {d} is of no kind", .{token}),
        }
        if (kind != .none and start == end) return bad("token {d} is empty", .{token});
    }
    for (spec.merges) |merge| for (merge) |token| {
        if (token >= tokens or spec.kinds[token] != .model)
            return bad("a merge of token {d}, which is not there", .{token});
    };
    for (spec.added) |added| {
        if (added[0] >= tokens or spec.kinds[added[0]] == .none or added[1] > 1)
            return bad("added token {d} is not there", .{added[0]});
    }
}
