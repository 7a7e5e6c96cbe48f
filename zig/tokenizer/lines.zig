//! Lines of JSON to tokens, many in one call: of each the text of one field, between a start and an end token, and on which side of the
//! split it falls. Lines that json_line.zig does not read are only noted. All of it gives what src/data/tokenize computes line by line.
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
};

pub const Side = enum(u32) { train = 0, validation = 1, not_read = 2 };

/// Of one line that is not blank.
pub const Note = extern struct {
    side: Side,
    tokens: u32,
    text_bytes: u32,
    start: u32,
    end: u32,
};

pub const Done = struct { lines: usize, bytes: usize };

/// In UTF-16 units, as in src/data/tokenize/text_formatter.ts: the hash takes the beginning of a longer text and its length.
const identity_length = 4096;

pub fn Lines(comptime Token: type) type {
    return struct {
        const Self = @This();

        allocator: std.mem.Allocator,
        tokenizer: *const Tokenizer,
        context: *encode_file.Context,
        header: Header,
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
                const end = std.mem.findScalarPos(u8, block, start, '\n') orelse block.len;
                const line = block[start..end];
                if (!is_blank(line)) {
                    if (done.lines == notes.len) break;
                    const note = &notes[done.lines];
                    note.* = .{
                        .side = .not_read,
                        .tokens = 0,
                        .text_bytes = 0,
                        .start = @intCast(start),
                        .end = @intCast(end),
                    };
                    if (line.len <= @min(self.out.len, self.room.len)) {
                        if (line.len > self.out.len - written) break;
                        try self.one(line, self.out[written..], note);
                    }
                    written += note.tokens;
                    done.lines += 1;
                }
                done.bytes = @min(end + 1, block.len);
            }
            return done;
        }

        /// A line of JSON is longer than its text by more than the tokens around it.
        fn one(self: *Self, line: []const u8, out: []Token, note: *Note) Error!void {
            const text = json_line.find(line, self.field, self.room) orelse return;
            if (!has_ink(text.bytes)) return;
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
            const hashed = identity_of(text, &self.identity) orelse return null;
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

fn is_blank(line: []const u8) bool {
    for (line) |byte| if (!json_line.is_blank(byte)) return false;
    return true;
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
