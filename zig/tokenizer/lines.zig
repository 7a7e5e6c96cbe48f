//! Records of a block to tokens, many in one call: of each its text, between a start and an end token, and on which side of the split it
//! falls. A record is a line of JSON of which one field is the text, a line, or what blank lines separate. Lines that json_line.zig does
//! not read, and what is empty, are only noted. All of it gives what src/data/tokenize computes record by record.
const std = @import("std");
const encode_file = @import("encode.zig");
const failure = @import("../failure.zig");
const json_line = @import("json_line.zig");
const Tokenizer = @import("tokenizer.zig").Tokenizer;

const Error = failure.Error;

/// What lies before the field's name in the options.
pub const Header = extern struct {
    seed: u64,
    /// Documents whose hash is less are held out.
    below: u64,
    /// Tokens around each document; -1: none.
    before: i64,
    after: i64,
    form: u64,
};

pub const Form = enum(u64) { json = 0, lines = 1, paragraphs = 2 };

pub const Side = enum(u32) { train = 0, validation = 1, not_read = 2 };

/// Of one record that is not blank.
pub const Note = extern struct {
    side: Side,
    tokens: u32,
    text_bytes: u32,
    start: u32,
    end: u32,
};

pub const Done = struct { lines: usize, bytes: usize };

/// Tokens before and after a text, which has no more than its bytes.
const around_max = 2;

/// Of JSON in UTF-16 units, as in src/data/tokenize/text_formatter.ts: the hash takes the beginning of a longer text and its length.
const identity_length = 4096;

pub fn Lines(comptime Token: type) type {
    return struct {
        const Self = @This();

        allocator: std.mem.Allocator,
        tokenizer: *const Tokenizer,
        context: *encode_file.Context,
        header: Header,
        form: Form,
        field: []const u8,
        out: []Token,
        /// Text without its escapes.
        room: []u8,
        /// Here and not where it is used: a safe build fills what is undefined, for every document.
        identity: [3 * identity_length + 20]u8 = undefined,

        /// Ends before the first line for which there is no place in `out` or `notes`. A line that has no place in them at all is not read.
        pub fn run(self: *Self, block: []const u8, notes: []Note) Error!Done {
            var done: Done = .{ .lines = 0, .bytes = 0 };
            var written: usize = 0;
            while (done.bytes < block.len) {
                const start = done.bytes;
                const found = self.record_at(block, start);
                const line = block[start..found.end];
                if (!self.is_blank(line)) {
                    if (done.lines == notes.len) break;
                    const note = &notes[done.lines];
                    note.* = .{
                        .side = .not_read,
                        .tokens = 0,
                        .text_bytes = 0,
                        .start = @intCast(start),
                        .end = @intCast(found.end),
                    };
                    const most = line.len + around_max;
                    if (most <= @min(self.out.len, self.room.len)) {
                        if (most > self.out.len - written) break;
                        try self.one(line, self.out[written..], note);
                    }
                    written += note.tokens;
                    done.lines += 1;
                }
                done.bytes = found.next;
            }
            return done;
        }

        fn record_at(self: *const Self, block: []const u8, start: usize) Record {
            if (self.form == .paragraphs) return paragraph_at(block, start);
            const end = std.mem.findScalarPos(u8, block, start, '\n') orelse block.len;
            return .{ .end = end, .next = @min(end + 1, block.len) };
        }

        fn is_blank(self: *const Self, record: []const u8) bool {
            if (self.form == .paragraphs) return !has_byte(record);
            for (record) |byte| if (!json_line.is_blank(byte)) return false;
            return true;
        }

        /// Null: it is left to the caller.
        fn text_of(self: *Self, record: []const u8) ?json_line.Text {
            if (self.form == .json) {
                const text = json_line.find(record, self.field, self.room) orelse return null;
                return if (has_ink(text.bytes)) text else null;
            }
            const cut = self.form == .lines and std.mem.endsWith(u8, record, "\r");
            const bytes = if (cut) record[0 .. record.len - 1] else record;
            return if (has_byte(bytes)) .{ .bytes = bytes, .ascii = false } else null;
        }

        fn one(self: *Self, record: []const u8, out: []Token, note: *Note) Error!void {
            const text = self.text_of(record) orelse return;
            const side = self.side_of(text) orelse return;
            var encoding: encode_file.Encoding(Token) = .{
                .allocator = self.allocator,
                .model = self.tokenizer.model,
                .context = self.context,
                .out = out.ptr,
            };
            if (self.header.before >= 0) encoding.append(@intCast(self.header.before));
            try encoding.text(text.bytes, .plain);
            if (self.header.after >= 0) encoding.append(@intCast(self.header.after));
            note.side = side;
            note.tokens = @intCast(encoding.count);
            note.text_bytes = @intCast(text.bytes.len);
        }

        /// Null where the beginning that is hashed would end inside of a surrogate pair.
        fn side_of(self: *Self, text: json_line.Text) ?Side {
            const header = self.header;
            if (header.below == 0) return .train;
            const hashed = if (self.form == .json)
                identity_of(text, &self.identity) orelse return null
            else
                text.bytes[0..@min(text.bytes.len, identity_length)];
            const hash = std.hash.XxHash3.hash(header.seed, hashed);
            return if (hash < header.below) .validation else .train;
        }
    };
}

fn identity_of(text: json_line.Text, room: []u8) ?[]const u8 {
    const bytes = text.bytes;
    if (bytes.len <= identity_length) return bytes;
    var cut: usize = identity_length;
    var units = bytes.len;
    if (!text.ascii) {
        units = units_of(bytes);
        if (units <= identity_length) return bytes;
        cut = cut_of(bytes) orelse return null;
    }
    @memcpy(room[0..cut], bytes[0..cut]);
    const digits = std.fmt.bufPrint(room[cut..], "{d}", .{units}) catch unreachable;
    return room[0 .. cut + digits.len];
}

/// UTF-16 units of UTF-8.
fn units_of(bytes: []const u8) usize {
    var units: usize = 0;
    for (bytes) |byte| {
        units += @intFromBool(byte & 0xc0 != 0x80);
        units += @intFromBool(byte >= 0xf0);
    }
    return units;
}

/// Where the first `identity_length` units end.
fn cut_of(bytes: []const u8) ?usize {
    var units: usize = 0;
    for (bytes, 0..) |byte, at| {
        if (byte & 0xc0 == 0x80) continue;
        if (units == identity_length) return at;
        if (units > identity_length) return null;
        units += if (byte >= 0xf0) 2 else 1;
    }
    return null;
}

/// Where a record ends, and where the next one begins.
const Record = struct { end: usize, next: usize };

/// To the end of a line after which a blank one comes, as in src/data/sources/read_text.ts; without one, to the block's end.
fn paragraph_at(block: []const u8, start: usize) Record {
    var at = start;
    while (std.mem.findScalarPos(u8, block, at, '\n')) |newline| {
        var end = newline + 1;
        while (end < block.len and block[end] != '\n' and is_space(block[end])) end += 1;
        if (end == block.len) break;
        if (block[end] == '\n') return .{ .end = newline + 1, .next = end + 1 };
        at = end;
    }
    return .{ .end = block.len, .next = block.len };
}

inline fn is_space(byte: u8) bool {
    return byte == ' ' or (byte >= 9 and byte <= 13);
}

fn has_byte(text: []const u8) bool {
    for (text) |byte| if (!is_space(byte)) return true;
    return false;
}

/// Whether there is more than white space for certain: lead bytes that a kind of white space has leave it open.
fn has_ink(text: []const u8) bool {
    for (text) |byte| switch (byte) {
        ' ', 9...13 => {},
        0x80...0xc2, 0xe1...0xe3, 0xef => {},
        else => return true,
    };
    return false;
}
