//! Characters of UTF-8 text by the classes that byte-pair patterns tell apart. `classes.bin` is made by
//! scripts/generate_unicode.ts. A byte that is no part of a character stands for itself, in the class `other`.
const std = @import("std");

/// Numbers as in scripts/generate_unicode.ts. `\p{L}` is upper, lower and caseless; `\s` is space and newline.
pub const Class = enum(u8) {
    other = 0,
    /// \p{Lu} \p{Lt}
    upper = 1,
    /// \p{Ll}
    lower = 2,
    /// \p{Lm} \p{Lo}
    caseless = 3,
    /// \p{M}
    mark = 4,
    /// \p{N}
    number = 5,
    space = 6,
    /// \r \n
    newline = 7,
};

/// Sets of classes, one bit each.
pub const Set = u8;

pub fn set_of(comptime classes: []const Class) Set {
    var set: Set = 0;
    for (classes) |class| set |= bit_of_class(@intFromEnum(class));
    return set;
}

const table = @embedFile("classes.bin");
const block_size = 256;
const block_count = 0x110000 / block_size;

comptime {
    std.debug.assert(table.len > block_count and (table.len - block_count) % block_size == 0);
}

/// The bits of a code point's class.
fn bits_of(code: u32) Set {
    const block: usize = table[code / block_size];
    return bit_of_class(table[block_count + block * block_size + code % block_size]);
}

inline fn bit_of_class(class: u8) Set {
    return @as(Set, 1) << @intCast(class & 7);
}

const ascii: [128]Set = blk: {
    @setEvalBranchQuota(10_000);
    var sets: [128]Set = undefined;
    for (&sets, 0..) |*set, code| set.* = bits_of(code);
    break :blk sets;
};

pub const Char = struct { bits: Set, len: u8 };

const broken: Char = .{ .bits = set_of(&.{.other}), .len = 1 };

/// The character at `at`, which is inside of the text.
pub inline fn char_at(text: []const u8, at: usize) Char {
    const first = text[at];
    if (first < 0x80) return .{ .bits = ascii[first], .len = 1 };
    return long_char_at(text, at);
}

fn long_char_at(text: []const u8, at: usize) Char {
    const first = text[at];
    const left = text.len - at;
    if (first < 0xe0) {
        if (first < 0xc2 or left < 2) return broken;
        const b = text[at + 1];
        if (b & 0xc0 != 0x80) return broken;
        return .{ .bits = bits_of(@as(u32, first & 0x1f) << 6 | (b & 0x3f)), .len = 2 };
    }
    if (left < 3) return broken;
    const b = text[at + 1];
    const c = text[at + 2];
    if (b & 0xc0 != 0x80 or c & 0xc0 != 0x80) return broken;
    const low = @as(u32, b & 0x3f) << 6 | (c & 0x3f);
    if (first < 0xf0) {
        const code = @as(u32, first & 0xf) << 12 | low;
        if (code < 0x800 or (code >= 0xd800 and code < 0xe000)) return broken;
        return .{ .bits = bits_of(code), .len = 3 };
    }
    if (first > 0xf4 or left < 4) return broken;
    const d = text[at + 3];
    if (d & 0xc0 != 0x80) return broken;
    const code = @as(u32, first & 7) << 18 | low << 6 | (d & 0x3f);
    if (code < 0x10000 or code >= 0x110000) return broken;
    return .{ .bits = bits_of(code), .len = 4 };
}

/// Where a character that ends before `at` starts, if it is whole; else the byte before.
pub fn start_before(text: []const u8, at: usize) usize {
    var len: usize = 1;
    while (len <= 4 and len <= at) : (len += 1) {
        const byte = text[at - len];
        if (byte & 0xc0 == 0x80) continue;
        return if (char_at(text, at - len).len == len) at - len else at - 1;
    }
    return at - 1;
}

test "classes of characters" {
    const cases = [_]struct { []const u8, Class, u8 }{
        .{ "A", .upper, 1 },          .{ "z", .lower, 1 },            .{ "7", .number, 1 },
        .{ " ", .space, 1 },          .{ "\n", .newline, 1 },         .{ "\r", .newline, 1 },
        .{ "'", .other, 1 },          .{ "\x00", .other, 1 },         .{ "\x7f", .other, 1 },
        .{ "é", .lower, 2 },
        .{ "\u{0301}", .mark, 2 },
        .{ "中", .caseless, 3 },
        .{ "\u{3000}", .space, 3 },   .{ "\u{85}", .space, 2 },       .{ "\u{feff}", .other, 3 },
        .{ "\u{1c5}", .upper, 2 },
        .{ "👋", .other, 4 },
        .{ "\u{1d7d8}", .number, 4 }, .{ "\u{20000}", .caseless, 4 }, .{ "\u{10ffff}", .other, 4 },
    };
    for (cases) |case| {
        const char = char_at(case[0], 0);
        try std.testing.expectEqual(bit_of_class(@intFromEnum(case[1])), char.bits);
        try std.testing.expectEqual(case[2], char.len);
        try std.testing.expectEqual(0, start_before(case[0], case[0].len));
    }
}

test "bytes that are no character" {
    const cases = [_][]const u8{
        "\x80",             "\xff",             "\xc0\x80",      "\xc1\xbf",
        "\xc3",             "\xc3(",            "\xe0\x80\x80",  "\xed\xa0\x80",
        "\xe2\x82",         "\xe2(\xa1",        "\xf0\x9f\x91",  "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf0\x9f\x91(", "\xf8\x88\x80\x80",
    };
    for (cases) |case| {
        const char = char_at(case, 0);
        try std.testing.expectEqual(1, char.len);
        try std.testing.expectEqual(set_of(&.{.other}), char.bits);
    }
}

test "the decoder agrees with the standard library on every pair of bytes and on code points" {
    var bytes: [4]u8 = undefined;
    for (0..0x110000) |code| {
        if (code >= 0xd800 and code < 0xe000) continue;
        const len = std.unicode.utf8Encode(@intCast(code), &bytes) catch unreachable;
        try std.testing.expectEqual(len, char_at(bytes[0..len], 0).len);
        if (len > 1) try std.testing.expectEqual(1, char_at(bytes[0 .. len - 1], 0).len);
    }
}
