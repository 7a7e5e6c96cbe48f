//! The bytes of a program, little-endian, sections back to back and nothing after them:
//!   Header | Buffer[] | Instruction[] | Operand[] | Slot[] | u32 words[] | UTF-8 text
//! Operands and words belong to the instructions in order; names are ranges of the text. `src/program/serialize.ts`
//! writes this. Nothing here may be trusted: `Layout.read` checks that the sections fit, `program.zig` all the rest.
const std = @import("std");
const abi = @import("abi.zig");
const failure = @import("failure.zig");

const Error = failure.Error;

/// "THSP"
pub const magic: u32 = 0x5053_4854;
pub const version: u32 = 1;

pub const buffers_max: u32 = 1 << 16;
pub const instructions_max: u32 = 1 << 20;
pub const operands_max: u32 = 1 << 22;
pub const words_max: u32 = 1 << 24;
pub const slots_max: u32 = 1 << 12;
pub const text_max: u32 = 1 << 25;
/// Operands of one instruction (`grad_norm` takes every parameter).
pub const instruction_operands_max: u32 = 1 << 13;
/// Bytes of one buffer, and elements that one operand may walk over (broadcast dims included).
pub const buffer_bytes_max: u64 = 1 << 46;
pub const operand_elements_max: u64 = 1 << 40;
pub const scratch_bytes_max: u64 = 1 << 32;

pub const Header = extern struct {
    magic: u32,
    version: u32,
    /// Of all sections; equals the length of the data.
    bytes: u64,
    /// Private scratch that each thread needs.
    scratch_bytes: u64,
    buffer_count: u32,
    instruction_count: u32,
    operand_count: u32,
    slot_count: u32,
    word_count: u32,
    text_bytes: u32,
    name: Range,
};

pub const Range = extern struct { offset: u32, bytes: u32 };

pub const BufferKind = enum(u32) { arena = 0, state = 1, input = 2, output = 3 };

pub const Buffer = extern struct {
    bytes: u64,
    kind: u32,
    name: Range,
    reserved: u32,
};

pub const flag_workspace: u32 = 1;

pub const Instruction = extern struct {
    opcode: u16,
    operand_count: u16,
    word_count: u32,
    node: u32,
    flags: u32,
    scope: Range,
};

pub const Operand = extern struct {
    /// Of the first element, in bytes from the buffer's start.
    offset: u64,
    buffer: u32,
    dtype: u8,
    rank: u8,
    output: u8,
    reserved: u8,
    /// Zero beyond the rank, as are the strides.
    dims: [abi.rank_max]u32,
    strides: [abi.rank_max]u64,
};

/// Where the host finds a named value in the input or output buffer: packed, row-major.
pub const Slot = extern struct {
    offset: u64,
    /// 0: in the input buffer, 1: in the output buffer.
    direction: u32,
    name: Range,
    dtype: u8,
    rank: u8,
    reserved: u16,
    dims: [abi.rank_max]u32,
};

comptime {
    std.debug.assert(@sizeOf(Header) == 56);
    std.debug.assert(@sizeOf(Buffer) == 24);
    std.debug.assert(@sizeOf(Instruction) == 24);
    std.debug.assert(@sizeOf(Operand) == 112);
    std.debug.assert(@sizeOf(Slot) == 56);
}

/// `T` number `index` of a section. The copy makes the source's alignment irrelevant.
pub fn item(comptime T: type, section: []const u8, index: usize) T {
    const at = index * @sizeOf(T);
    return std.mem.bytesToValue(T, section[at..][0..@sizeOf(T)]);
}

/// The sections of a program, known to lie inside the data.
pub const Layout = struct {
    header: Header,
    buffers: []const u8,
    instructions: []const u8,
    operands: []const u8,
    slots: []const u8,
    words: []const u8,
    text: []const u8,

    pub fn read(bytes: []const u8) Error!Layout {
        if (bytes.len < @sizeOf(Header))
            return bad("{d} bytes are too few for a header", .{bytes.len});
        const h = item(Header, bytes, 0);
        if (h.magic != magic) return bad("wrong magic number 0x{x:0>8}", .{h.magic});
        if (h.version != version)
            return bad("format version {d}, this library reads {d}", .{ h.version, version });
        if (h.bytes != bytes.len)
            return bad("the header says {d} bytes, there are {d}", .{ h.bytes, bytes.len });
        try limit("buffers", h.buffer_count, buffers_max);
        try limit("instructions", h.instruction_count, instructions_max);
        try limit("operands", h.operand_count, operands_max);
        try limit("slots", h.slot_count, slots_max);
        try limit("words", h.word_count, words_max);
        try limit("bytes of text", h.text_bytes, text_max);
        if (h.scratch_bytes > scratch_bytes_max)
            return bad("scratch of {d} bytes a thread", .{h.scratch_bytes});

        // With the counts limited, no sum below can overflow.
        var at: u64 = @sizeOf(Header);
        var layout: Layout = undefined;
        layout.header = h;
        const parts = .{
            .{ &layout.buffers, h.buffer_count, @sizeOf(Buffer) },
            .{ &layout.instructions, h.instruction_count, @sizeOf(Instruction) },
            .{ &layout.operands, h.operand_count, @sizeOf(Operand) },
            .{ &layout.slots, h.slot_count, @sizeOf(Slot) },
            .{ &layout.words, h.word_count, @sizeOf(u32) },
            .{ &layout.text, h.text_bytes, 1 },
        };
        inline for (parts) |part| {
            const size: u64 = @as(u64, part[1]) * part[2];
            if (size > bytes.len - at) return bad("the sections do not fit into {d} bytes", .{bytes.len});
            part[0].* = bytes[at..][0..size];
            at += size;
        }
        if (at != bytes.len) return bad("{d} bytes after the last section", .{bytes.len - at});
        return layout;
    }

    /// A name, valid UTF-8.
    pub fn text_of(layout: *const Layout, range: Range) Error![]const u8 {
        const end = @as(u64, range.offset) + range.bytes;
        if (end > layout.text.len)
            return bad("a name ends at byte {d} of {d} bytes of text", .{ end, layout.text.len });
        const text = layout.text[range.offset..][0..range.bytes];
        if (!std.unicode.utf8ValidateSlice(text)) return bad("a name is not UTF-8", .{});
        return text;
    }
};

pub fn bad(comptime format: []const u8, args: anytype) Error {
    return failure.raise(error.InvalidProgram, "invalid program: " ++ format, args);
}

fn limit(what: []const u8, count: u32, max: u32) Error!void {
    if (count > max) return bad("{d} {s}, at most {d}", .{ count, what, max });
}

test "a header alone is the empty program; any other length is refused" {
    var header = std.mem.zeroes(Header);
    header.magic = magic;
    header.version = version;
    header.bytes = @sizeOf(Header);
    const bytes = std.mem.toBytes(header);
    const layout = try Layout.read(&bytes);
    try std.testing.expectEqual(0, layout.text.len);
    try std.testing.expectError(error.InvalidProgram, Layout.read(bytes[0..55]));
    const far: Range = .{ .offset = 0xffff_ffff, .bytes = 0xffff_ffff };
    try std.testing.expectError(error.InvalidProgram, layout.text_of(far));
    header.operand_count = operands_max;
    try std.testing.expectError(error.InvalidProgram, Layout.read(&std.mem.toBytes(header)));
}
