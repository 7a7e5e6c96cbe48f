//! A tokenizer behind a handle. Its model never changes, so that threads of a process may encode with it at the same time.
const std = @import("std");
const failure = @import("../failure.zig");
const handles = @import("../handles.zig");
const encode_file = @import("encode.zig");
const parallel = @import("parallel.zig");
const lines_file = @import("lines.zig");
const Look = @import("added.zig").Look;
const Model = @import("model.zig").Model;

const Error = failure.Error;
const allocator = std.heap.c_allocator;

pub const Tokenizer = struct {
    model: *Model,
    contexts: encode_file.Contexts,
    /// Calls that are encoding; changed under the library's lock.
    users: u32 = 0,
};

/// The most text of one call: numbers of bytes stay below those of tokens by far.
const text_bytes_max = 1 << 32;

pub fn open(data: []const u8) Error!i64 {
    const model = try Model.open(allocator, data);
    errdefer model.close(allocator);
    const tokenizer = allocator.create(Tokenizer) catch
        return failure.raise(error.OutOfMemory, "no memory for a tokenizer", .{});
    errdefer allocator.destroy(tokenizer);
    tokenizer.* = .{ .model = model, .contexts = .{} };
    return handles.add(.tokenizer, tokenizer);
}

pub fn close(handle: i64) Error!void {
    const tokenizer = try handles.get(Tokenizer, .tokenizer, handle);
    if (tokenizer.users > 0)
        return failure.raise(error.Busy, "{d} calls are encoding with this tokenizer", .{tokenizer.users});
    try handles.remove(.tokenizer, handle);
    tokenizer.contexts.deinit(allocator);
    tokenizer.model.close(allocator);
    allocator.destroy(tokenizer);
}

/// Marks the tokenizer as in use; the caller holds the lock here and when it counts `users` down.
pub fn begin(handle: i64) Error!*Tokenizer {
    const tokenizer = try handles.get(Tokenizer, .tokenizer, handle);
    tokenizer.users += 1;
    return tokenizer;
}

/// Writes tokens of `width` bytes each and returns how many; `out` must have room for one a byte of the text.
pub fn encode(
    tokenizer: *Tokenizer,
    text: []const u8,
    look_number: i64,
    width: i64,
    out: []u8,
    threads: i64,
) Error!i64 {
    if (text.len > text_bytes_max)
        return failure.raise(error.InvalidArgument, "{d} bytes of text at once", .{text.len});
    const look = std.enums.fromInt(Look, look_number) orelse
        return failure.raise(error.InvalidArgument, "no added tokens to look for: {d}", .{look_number});
    const count: usize = @intCast(std.math.clamp(threads, 1, parallel.threads_max));
    return switch (width) {
        2 => encode_as(u16, tokenizer, text, look, out, count),
        4 => encode_as(u32, tokenizer, text, look, out, count),
        else => failure.raise(error.InvalidArgument, "tokens of {d} bytes", .{width}),
    };
}

fn encode_as(
    comptime Token: type,
    tokenizer: *Tokenizer,
    text: []const u8,
    look: Look,
    out: []u8,
    threads: usize,
) Error!i64 {
    const model = tokenizer.model;
    if (Token == u16 and model.largest > std.math.maxInt(u16))
        return failure.raise(error.InvalidArgument, "token {d} in 16 bits", .{model.largest});
    if (out.len / @sizeOf(Token) < text.len)
        return failure.raise(error.BufferTooSmall, "room for {d} bytes, {d} needed", .{
            out.len, text.len * @sizeOf(Token),
        });
    if (text.len == 0) return 0;
    if (!std.mem.isAligned(@intFromPtr(out.ptr), @alignOf(Token)))
        return failure.raise(error.InvalidArgument, "tokens at an odd address", .{});
    const to: [*]Token = @ptrCast(@alignCast(out.ptr));
    if (parallel.worth(text.len, threads)) {
        const contexts = &tokenizer.contexts;
        const total = try parallel.run(Token, allocator, model, contexts, text, look, to, threads);
        return @intCast(total);
    }
    const context = tokenizer.contexts.take(allocator) catch
        return failure.raise(error.OutOfMemory, "no memory to encode", .{});
    defer tokenizer.contexts.put(allocator, context);
    var encoding: encode_file.Encoding(Token) = .{
        .allocator = allocator,
        .model = model,
        .context = context,
        .out = to,
    };
    try encoding.text(text, look);
    return @intCast(encoding.count);
}

/// What one call of `lines` works with.
pub const LinesCall = struct {
    block: []const u8,
    /// A `lines.Header`, then the name of the field.
    options: []const u8,
    width: i64,
    out: []u8,
    room: []u8,
    notes: []u8,
};

/// Records to tokens, see lines.zig; returns how many bytes of the block are done. The first word of the notes is how many records there are.
pub fn lines(tokenizer: *Tokenizer, call: LinesCall) Error!i64 {
    const Header = lines_file.Header;
    const aligned = std.mem.isAligned(@intFromPtr(call.notes.ptr), 4) and
        std.mem.isAligned(@intFromPtr(call.out.ptr), 4);
    const room = call.options.len >= @sizeOf(Header) and call.notes.len >= 4;
    if (!aligned or !room or call.block.len > std.math.maxInt(u32))
        return failure.raise(error.InvalidArgument, "lines of {d} bytes, notes of {d}", .{
            call.block.len, call.notes.len,
        });
    return switch (call.width) {
        2 => lines_as(u16, tokenizer, call),
        4 => lines_as(u32, tokenizer, call),
        else => failure.raise(error.InvalidArgument, "tokens of {d} bytes", .{call.width}),
    };
}

fn lines_as(comptime Token: type, tokenizer: *Tokenizer, call: LinesCall) Error!i64 {
    const Header = lines_file.Header;
    const Note = lines_file.Note;
    const header = std.mem.bytesToValue(Header, call.options[0..@sizeOf(Header)]);
    const form = std.enums.fromInt(lines_file.Form, header.form) orelse
        return failure.raise(error.InvalidArgument, "records of form {d}", .{header.form});
    const largest: i64 = @max(tokenizer.model.largest, header.before, header.after);
    if (largest > std.math.maxInt(Token))
        return failure.raise(error.InvalidArgument, "token {d} in {d} bits", .{
            largest, @bitSizeOf(Token),
        });
    const context = tokenizer.contexts.take(allocator) catch
        return failure.raise(error.OutOfMemory, "no memory to encode", .{});
    defer tokenizer.contexts.put(allocator, context);
    const out: [*]Token = @ptrCast(@alignCast(call.out.ptr));
    const notes: [*]Note = @ptrCast(@alignCast(call.notes.ptr + 4));
    var work: lines_file.Lines(Token) = .{
        .allocator = allocator,
        .tokenizer = tokenizer,
        .context = context,
        .header = header,
        .form = form,
        .field = call.options[@sizeOf(Header)..],
        .out = out[0 .. call.out.len / @sizeOf(Token)],
        .room = call.room,
    };
    const done = try work.run(call.block, notes[0 .. (call.notes.len - 4) / @sizeOf(Note)]);
    std.mem.writeInt(u32, call.notes[0..4], @intCast(done.lines), .little);
    return @intCast(done.bytes);
}

/// The two tokens of each merge that can happen, in order; returns how many there are and writes as many as fit.
pub fn merges(tokenizer: *const Tokenizer, out: []u8) i64 {
    const parts = std.mem.sliceAsBytes(tokenizer.model.parts.items);
    const bytes = @min(parts.len, out.len / 8 * 8);
    @memcpy(out[0..bytes], parts[0..bytes]);
    return @intCast(tokenizer.model.parts.items.len);
}
