//! Where the words of a text end, for the patterns in use. Each is a regular expression whose alternatives are tried in order;
//! here each is a few loops over classes of characters. The patterns (T stands for a text's end):
//!
//!   gpt2    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//!   gpt4    (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//!   gpt4 with `end_first` (tiktoken): \s+T before \s*[\r\n]+
//!   gpt4o   [^\r\n\p{L}\p{N}]?U*W+(?i:'s|...)?|[^\r\n\p{L}\p{N}]?U+W*(?i:'s|...)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
//!           where U is [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and W is [\p{Ll}\p{Lm}\p{Lo}\p{M}]
const std = @import("std");
const unicode = @import("unicode.zig");
const Set = unicode.Set;
const set_of = unicode.set_of;

pub const Family = enum(u8) { gpt2 = 0, gpt4 = 1, gpt4o = 2 };

pub const Pattern = struct {
    family: Family,
    /// Most digits of a word (gpt2 has no limit).
    digits: u8,
    end_first: bool,
};

const letter = set_of(&.{ .upper, .lower, .caseless });
const number = set_of(&.{.number});
const white = set_of(&.{ .space, .newline });
const newline = set_of(&.{.newline});
/// [^\s\p{L}\p{N}]
const symbol = set_of(&.{ .other, .mark });
/// [^\r\n\p{L}\p{N}]
const before_word = set_of(&.{ .other, .mark, .space });
const upperish = set_of(&.{ .upper, .caseless, .mark });
const lowerish = set_of(&.{ .lower, .caseless, .mark });

inline fn run(text: []const u8, from: usize, set: Set) usize {
    var at = from;
    while (at < text.len) {
        const char = unicode.char_at(text, at);
        if (char.bits & set == 0) break;
        at += char.len;
    }
    return at;
}

inline fn is(text: []const u8, at: usize, set: Set) bool {
    return at < text.len and unicode.char_at(text, at).bits & set != 0;
}

/// Where the word that starts at `at` ends; `text` reaches to where the pattern sees the end.
pub inline fn word_end(
    comptime family: Family,
    pattern: Pattern,
    text: []const u8,
    at: usize,
) usize {
    std.debug.assert(at < text.len);
    return switch (family) {
        .gpt2 => gpt2_end(text, at),
        .gpt4 => gpt4_end(pattern, text, at),
        .gpt4o => gpt4o_end(pattern, text, at),
    };
}

inline fn gpt2_end(text: []const u8, at: usize) usize {
    const first = unicode.char_at(text, at);
    if (text[at] == '\'') {
        const len = contraction(text, at, false);
        if (len > 0) return at + len;
    }
    if (text[at] == ' ' and at + 1 < text.len) {
        const second = unicode.char_at(text, at + 1);
        const after = at + 1 + second.len;
        if (second.bits & letter != 0) return run(text, after, letter);
        if (second.bits & number != 0) return run(text, after, number);
        if (second.bits & symbol != 0) return run(text, after, symbol);
    }
    const after = at + first.len;
    if (first.bits & letter != 0) return run(text, after, letter);
    if (first.bits & number != 0) return run(text, after, number);
    if (first.bits & symbol != 0) return run(text, after, symbol);
    return blank_end(text, at, run(text, after, white));
}

inline fn gpt4_end(pattern: Pattern, text: []const u8, at: usize) usize {
    const first = unicode.char_at(text, at);
    const after = at + first.len;
    if (first.bits & letter != 0) return run(text, after, letter);
    if (text[at] == '\'') {
        const len = contraction(text, at, true);
        if (len > 0) return at + len;
    }
    if (first.bits & before_word != 0 and is(text, after, letter)) return run(text, after, letter);
    if (first.bits & number != 0) return digits_end(text, at, pattern.digits);
    if (first.bits & symbol != 0) return run(text, run(text, after, symbol), newline);
    if (text[at] == ' ' and is(text, after, symbol))
        return run(text, run(text, after, symbol), newline);
    return lines_end(pattern, text, at);
}

inline fn gpt4o_end(pattern: Pattern, text: []const u8, at: usize) usize {
    const first = unicode.char_at(text, at);
    const after = at + first.len;
    if (cased_word_end(text, at, first)) |end| return end + contraction(text, end, true);
    if (first.bits & number != 0) return digits_end(text, at, pattern.digits);
    const symbols = if (text[at] == ' ' and is(text, after, symbol)) after else at;
    if (is(text, symbols, symbol)) {
        var end = run(text, symbols, symbol);
        while (end < text.len) : (end += 1) switch (text[end]) {
            '\r', '\n', '/' => {},
            else => break,
        };
        return end;
    }
    return lines_end(pattern, text, at);
}

/// The first two alternatives of gpt4o, each with and without a character before the word.
inline fn cased_word_end(text: []const u8, at: usize, first: unicode.Char) ?usize {
    const after = at + first.len;
    const can_precede = first.bits & before_word != 0;
    if (can_precede) if (lower_end(text, after)) |end| return end;
    if (lower_end(text, at)) |end| return end;
    // No lower-case or caseless character follows: only capitals are left.
    if (can_precede and is(text, after, upperish)) return run(text, after, upperish);
    if (first.bits & upperish != 0) return run(text, at, upperish);
    return null;
}

/// U*W+ at `from`: U* gives characters back until W+ has one.
inline fn lower_end(text: []const u8, from: usize) ?usize {
    var at = from;
    var last: ?usize = null;
    while (at < text.len) {
        const char = unicode.char_at(text, at);
        if (char.bits & upperish == 0) {
            if (char.bits & lowerish != 0) return run(text, at + char.len, lowerish);
            break;
        }
        at += char.len;
        if (char.bits & lowerish != 0) last = at;
    }
    return last;
}

/// Length of 's 't 'm 'd 're 've 'll at `at`, or 0. Without regard to case, the long s is an s.
fn contraction(text: []const u8, at: usize, any_case: bool) usize {
    if (at + 1 >= text.len or text[at] != '\'') return 0;
    const first = if (any_case) lower(text[at + 1]) else text[at + 1];
    switch (first) {
        's', 't', 'm', 'd' => return 2,
        0xc5 => return if (any_case and at + 2 < text.len and text[at + 2] == 0xbf) 3 else 0,
        'r', 'v', 'l' => {
            if (at + 2 >= text.len) return 0;
            const second = if (any_case) lower(text[at + 2]) else text[at + 2];
            return if (second == @as(u8, if (first == 'l') 'l' else 'e')) 3 else 0;
        },
        else => return 0,
    }
}

inline fn lower(byte: u8) u8 {
    return if (byte >= 'A' and byte <= 'Z') byte + 32 else byte;
}

inline fn digits_end(text: []const u8, at: usize, most: u8) usize {
    var end = at;
    for (0..most) |_| {
        if (!is(text, end, number)) break;
        end += unicode.char_at(text, end).len;
    }
    return end;
}

/// White space at `at`: up to its last line end; else as `blank_end`.
fn lines_end(pattern: Pattern, text: []const u8, at: usize) usize {
    var last: usize = at;
    var end = at;
    while (end < text.len) {
        const char = unicode.char_at(text, end);
        if (char.bits & white == 0) break;
        end += char.len;
        if (char.bits & newline != 0) last = end;
    }
    if (end == text.len and pattern.end_first) return end;
    return if (last > at) last else blank_end(text, at, end);
}

/// \s+(?!\S)|\s+ over the white space [at, end): all of it at the text's end, else all but its last character, if any are left.
inline fn blank_end(text: []const u8, at: usize, end: usize) usize {
    std.debug.assert(end > at);
    if (end == text.len) return end;
    const last = unicode.start_before(text, end);
    return if (last > at) last else end;
}

/// Whether a word of any pattern starts at `at` whatever stands before and after: a text may be cut there among threads.
pub fn is_boundary(text: []const u8, at: usize) bool {
    if (at == 0 or at >= text.len) return true;
    const before = text[at - 1];
    const here = text[at];
    if (before == '\n') return std.ascii.isAlphanumeric(here);
    if (std.ascii.isAlphabetic(before))
        return here == ' ' and at + 1 < text.len and std.ascii.isAlphabetic(text[at + 1]);
    // A letter of another script, then a symbol that is no mark.
    if (before < 0x80 or here < 0x80 or here & 0xc0 == 0x80) return false;
    const start = unicode.start_before(text, at);
    const left = unicode.char_at(text, start);
    if (start + left.len != at or left.bits & letter == 0) return false;
    return unicode.char_at(text, at).bits & set_of(&.{.other}) != 0;
}

fn expect_words(comptime family: Family, pattern: Pattern, expected: []const []const u8) !void {
    var buffer: [256]u8 = undefined;
    var len: usize = 0;
    for (expected) |word| {
        @memcpy(buffer[len..][0..word.len], word);
        len += word.len;
    }
    var at: usize = 0;
    for (expected) |word| {
        const end = word_end(family, pattern, buffer[0..len], at);
        try std.testing.expectEqualStrings(word, buffer[at..end]);
        at = end;
    }
}

test "words of gpt2" {
    const p: Pattern = .{ .family = .gpt2, .digits = 0, .end_first = false };
    try expect_words(.gpt2, p, &.{ "I", "'m", " here", "  ", " x", "1234" });
    try expect_words(.gpt2, p, &.{ " '", "S", "?!", "\n", "\n", "a", " ", "\t", "b", " \n " });
    try expect_words(.gpt2, p, &.{ "'re", "'", "RE中文", "。", " 中", "\u{301}" });
    try expect_words(.gpt2, p, &.{ "\xff\xfe", " \xe4\xb8", "a" });
}

test "words of gpt4" {
    const p: Pattern = .{ .family = .gpt4, .digits = 3, .end_first = false };
    try expect_words(.gpt4, p, &.{ "I", "'M", "\there", " ", " ", "123", "4" });
    try expect_words(.gpt4, p, &.{ "(x", " ..\n\n", "  \n", "  ", " y", "'ſ", "\n", "  " });
    const q: Pattern = .{ .family = .gpt4, .digits = 1, .end_first = true };
    try expect_words(.gpt4, q, &.{ "1", "2", "\n  " });
}

test "words of gpt4o" {
    const p: Pattern = .{ .family = .gpt4o, .digits = 3, .end_first = false };
    try expect_words(.gpt4o, p, &.{ "Hello", "World's", " ABC中Abc" });
    try expect_words(.gpt4o, p, &.{ "XYZ'LL", " ok", " //\n/", "a" });
    try expect_words(.gpt4o, p, &.{ " ABC中", "A", "1" });
    try expect_words(.gpt4o, p, &.{ "\u{301}", "A", "1" });
    try expect_words(.gpt4o, p, &.{ "\u{301}a\u{301}", "\n", " " });
}
