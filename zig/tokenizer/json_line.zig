//! The text of one field of a line that is a JSON object, without making the object. Null wherever JSON.parse has to say more: what is
//! no JSON or no UTF-8, a field that is missing, twice there or no string, half a surrogate pair, escapes in a key, deep nesting.
const std = @import("std");

const depth_max = 32;
const lanes = 32;

pub const Text = struct {
    /// In the line, or in `room` where the line has escapes.
    bytes: []const u8,
    ascii: bool,
};

/// `room` takes as many bytes as the line has.
pub fn find(line: []const u8, field: []const u8, room: []u8) ?Text {
    var reader: Reader = .{ .line = line };
    const found = reader.field_of(field) orelse return null;
    const raw = line[found.start..found.end];
    const bytes = if (found.escaped) unescaped(raw, room) else raw;
    return .{ .bytes = bytes, .ascii = found.ascii };
}

/// White space of JSON; a line has no newline.
pub inline fn is_blank(byte: u8) bool {
    return byte == ' ' or byte == '\t' or byte == '\r';
}

const String = struct { start: usize, end: usize, escaped: bool = false, ascii: bool = true };

const Reader = struct {
    line: []const u8,
    at: usize = 0,

    fn field_of(r: *Reader, field: []const u8) ?String {
        var found: ?String = null;
        r.blanks();
        if (!r.take('{')) return null;
        r.blanks();
        while (true) {
            const key = r.string() orelse return null;
            if (key.escaped) return null;
            r.blanks();
            if (!r.take(':')) return null;
            r.blanks();
            if (std.mem.eql(u8, r.line[key.start..key.end], field)) {
                if (found != null) return null;
                found = r.string() orelse return null;
            } else if (!r.value(0)) return null;
            r.blanks();
            if (r.take('}')) break;
            if (!r.take(',')) return null;
            r.blanks();
        }
        r.blanks();
        return if (r.at == r.line.len) found else null;
    }

    fn peek(r: *const Reader) u8 {
        return if (r.at < r.line.len) r.line[r.at] else 0;
    }

    fn take(r: *Reader, byte: u8) bool {
        if (r.peek() != byte) return false;
        r.at += 1;
        return true;
    }

    fn blanks(r: *Reader) void {
        while (is_blank(r.peek())) r.at += 1;
    }

    fn value(r: *Reader, depth: u32) bool {
        if (depth == depth_max) return false;
        return switch (r.peek()) {
            '"' => r.string() != null,
            '{' => r.nested('}', depth),
            '[' => r.nested(']', depth),
            't' => r.word("true"),
            'f' => r.word("false"),
            'n' => r.word("null"),
            else => r.number(),
        };
    }

    fn nested(r: *Reader, close: u8, depth: u32) bool {
        r.at += 1;
        r.blanks();
        if (r.take(close)) return true;
        while (true) {
            if (close == '}') {
                if (r.string() == null) return false;
                r.blanks();
                if (!r.take(':')) return false;
                r.blanks();
            }
            if (!r.value(depth + 1)) return false;
            r.blanks();
            if (r.take(close)) return true;
            if (!r.take(',')) return false;
            r.blanks();
        }
    }

    fn word(r: *Reader, comptime expected: []const u8) bool {
        if (!std.mem.startsWith(u8, r.line[r.at..], expected)) return false;
        r.at += expected.len;
        return true;
    }

    fn number(r: *Reader) bool {
        _ = r.take('-');
        if (!r.take('0') and !r.digits()) return false;
        if (r.take('.') and !r.digits()) return false;
        if (r.take('e') or r.take('E')) {
            if (!r.take('+')) _ = r.take('-');
            return r.digits();
        }
        return true;
    }

    fn digits(r: *Reader) bool {
        const from = r.at;
        while (std.ascii.isDigit(r.peek())) r.at += 1;
        return r.at > from;
    }

    /// Passes over a string; null when there is none that is right from end to end.
    fn string(r: *Reader) ?String {
        if (!r.take('"')) return null;
        var out: String = .{ .start = r.at, .end = r.at };
        while (true) {
            r.at = plain_end(r.line, r.at);
            if (r.at == r.line.len) return null;
            switch (r.line[r.at]) {
                '"' => {
                    out.end = r.at;
                    r.at += 1;
                    return out;
                },
                '\\' => {
                    const escape = escape_at(r.line[r.at..]) orelse return null;
                    out.escaped = true;
                    if (escape.code >= 0x80) out.ascii = false;
                    r.at += escape.len;
                },
                0...0x1f => return null,
                else => {
                    const len = character_len(r.line[r.at..]);
                    if (len == 0) return null;
                    out.ascii = false;
                    r.at += len;
                },
            }
        }
    }
};

/// The first byte from `from` on that is a quote, a backslash, a control character or not ASCII.
fn plain_end(line: []const u8, from: usize) usize {
    var at = from;
    while (at + lanes <= line.len) : (at += lanes) {
        const bytes: @Vector(lanes, u8) = line[at..][0..lanes].*;
        const quote: u32 = @bitCast(bytes == @as(@Vector(lanes, u8), @splat('"')));
        const slash: u32 = @bitCast(bytes == @as(@Vector(lanes, u8), @splat('\\')));
        // Below 0x20 and from 0x80 on, in one comparison.
        const moved = bytes -% @as(@Vector(lanes, u8), @splat(0x20));
        const other: u32 = @bitCast(moved >= @as(@Vector(lanes, u8), @splat(0x60)));
        const marks = quote | slash | other;
        if (marks != 0) return at + @ctz(marks);
    }
    while (at < line.len) : (at += 1) {
        const byte = line[at];
        if (byte == '"' or byte == '\\' or byte < 0x20 or byte >= 0x80) return at;
    }
    return at;
}

/// Of a character that is not ASCII; 0 where none begins.
fn character_len(text: []const u8) usize {
    const len: usize = switch (text[0]) {
        0xc2...0xdf => 2,
        0xe0...0xef => 3,
        0xf0...0xf4 => 4,
        else => return 0,
    };
    if (text.len < len) return 0;
    const low: u8 = switch (text[0]) {
        0xe0 => 0xa0,
        0xf0 => 0x90,
        else => 0x80,
    };
    const high: u8 = switch (text[0]) {
        0xed => 0x9f,
        0xf4 => 0x8f,
        else => 0xbf,
    };
    if (text[1] < low or text[1] > high) return 0;
    for (text[2..len]) |byte| if (byte & 0xc0 != 0x80) return 0;
    return len;
}

const Escape = struct { code: u21, len: usize };

fn escape_at(text: []const u8) ?Escape {
    if (text.len < 2) return null;
    const code: u21 = switch (text[1]) {
        '"', '\\', '/' => text[1],
        'b' => 8,
        't' => '\t',
        'n' => '\n',
        'f' => 12,
        'r' => '\r',
        'u' => return unicode_escape(text),
        else => return null,
    };
    return .{ .code = code, .len = 2 };
}

fn unicode_escape(text: []const u8) ?Escape {
    const first = unit_at(text) orelse return null;
    if (first & 0xf800 != 0xd800) return .{ .code = first, .len = 6 };
    if (first >= 0xdc00) return null;
    const second = unit_at(text[6..]) orelse return null;
    if (second & 0xfc00 != 0xdc00) return null;
    const code = 0x10000 + ((@as(u21, first) & 0x3ff) << 10 | (second & 0x3ff));
    return .{ .code = code, .len = 12 };
}

fn unit_at(text: []const u8) ?u16 {
    if (text.len < 6 or text[0] != '\\' or text[1] != 'u') return null;
    var unit: u16 = 0;
    for (text[2..6]) |digit| unit = unit << 4 | (std.fmt.charToDigit(digit, 16) catch return null);
    return unit;
}

/// `raw` is what `string` passed over.
fn unescaped(raw: []const u8, room: []u8) []const u8 {
    var len: usize = 0;
    var at: usize = 0;
    while (at < raw.len) {
        const slash = std.mem.findScalarPos(u8, raw, at, '\\') orelse raw.len;
        @memcpy(room[len..][0 .. slash - at], raw[at..slash]);
        len += slash - at;
        if (slash == raw.len) break;
        const escape = escape_at(raw[slash..]) orelse unreachable;
        len += std.unicode.utf8Encode(escape.code, room[len..]) catch unreachable;
        at = slash + escape.len;
    }
    return room[0..len];
}

fn expect_text(line: []const u8, expected: ?[]const u8) !void {
    var room: [256]u8 = undefined;
    const found = find(line, "text", &room);
    if (expected) |text| {
        try std.testing.expectEqualStrings(text, (found orelse return error.NothingFound).bytes);
    } else try std.testing.expectEqual(null, found);
}

test "the field, wherever it stands" {
    try expect_text("{\"text\":\"a\"}", "a");
    try expect_text(" { \"id\" : -1.5e+3 , \"text\" : \"\" }\r", "");
    try expect_text("{\"m\":{\"text\":[1,{},[],true,false,null]},\"text\":\"b\"}", "b");
    try expect_text(
        "{\"text\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"}",
        "\"\\/\x08\x0c\n\r\té😀",
    );
    const long = "a text that is longer than one vector, é, and goes on";
    try expect_text("{\"text\":\"" ++ long ++ "\"}", long);
}

test "what needs JSON.parse" {
    for ([_][]const u8{
        "",
        "{}",
        "[]",
        "{\"text\":\"a\"",
        "{\"text\":\"a\"}x",
        "{\"text\":\"a\",}",
        "{\"text\":\"a\",\"text\":1}",
        "{\"text\":1}",
        "{\"te\\u0078t\":\"a\"}",
        "{\"text\":\"\\ud83d\"}",
        "{\"text\":\"\\ude00\"}",
        "{\"text\":\"\\x\"}",
        "{\"text\":\"\t\"}",
        "{\"text\":\"\xed\xa0\x80\"}",
        "{\"text\":\"\xc0\x80\"}",
        "{\"text\":\"a\",\"n\":01}",
        "{\"text\":\"a\",\"n\":1.}",
        "{\"text\":\"a\",\"n\":[1,]}",
        "{\"text\":\"a\",\"n\":\"\xff\"}",
        "{\"text\":\"a\",\"n\":{\"a\"}}",
        "{\"text\":\"\\ud83d\\u0041\"}",
        "{\"text\":\"a\",\"n\":-}",
        "{\"text\":\"a\",\"n\":1e}",
        "{\"text\":\"a\",\"n\":nul}",
        "{\"text\":\"\\u12\"}",
        "{\"text\":\"\\",
        "{\"text\":\"\xe2\x82",
    }) |line| try expect_text(line, null);
}
