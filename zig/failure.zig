//! Errors of the library: an error set that maps one to one onto `abi.Status`, and the details of a thread's last
//! error, which `theseus_last_error` gives out as JSON.
const std = @import("std");
const abi = @import("abi.zig");

pub const Error = error{
    InvalidArgument,
    InvalidHandle,
    OutOfMemory,
    InvalidProgram,
    NotBound,
    IndexOutOfRange,
    KernelFailed,
    Poisoned,
    IoFailed,
    Unsupported,
    Busy,
    BufferTooSmall,
};

pub fn status_of(e: Error) abi.Status {
    return switch (e) {
        error.InvalidArgument => .invalid_argument,
        error.InvalidHandle => .invalid_handle,
        error.OutOfMemory => .out_of_memory,
        error.InvalidProgram => .invalid_program,
        error.NotBound => .not_bound,
        error.IndexOutOfRange => .index_out_of_range,
        error.KernelFailed => .kernel_failed,
        error.Poisoned => .poisoned,
        error.IoFailed => .io_failed,
        error.Unsupported => .unsupported,
        error.Busy => .busy,
        error.BufferTooSmall => .buffer_too_small,
    };
}

fn Text(comptime capacity: usize) type {
    return struct {
        bytes: [capacity]u8 = undefined,
        len: usize = 0,

        const Self = @This();

        /// Keeps as much as fits, cut at a character's start.
        fn set(t: *Self, text: []const u8) void {
            var len = @min(text.len, capacity);
            while (len < text.len and len > 0 and text[len] & 0xc0 == 0x80) len -= 1;
            @memcpy(t.bytes[0..len], text[0..len]);
            t.len = len;
        }

        fn slice(t: *const Self) []const u8 {
            return t.bytes[0..t.len];
        }
    };
}

/// Where in a program something went wrong.
pub const Place = struct {
    program: []const u8,
    instruction: u32,
    node: u32,
    kernel: []const u8,
    scope: []const u8,
    position: u64,
    value: i64,
};

pub const Record = struct {
    status: abi.Status = .ok,
    message: Text(700) = .{},
    program: Text(100) = .{},
    kernel: Text(60) = .{},
    scope: Text(300) = .{},
    has_place: bool = false,
    instruction: u32 = 0,
    node: u32 = 0,
    position: u64 = 0,
    value: i64 = 0,

    pub fn at(status: abi.Status, place: Place) Record {
        var record: Record = .{ .status = status, .has_place = true };
        record.program.set(place.program);
        record.kernel.set(place.kernel);
        record.scope.set(place.scope);
        record.instruction = place.instruction;
        record.node = place.node;
        record.position = place.position;
        record.value = place.value;
        const what = if (status == .index_out_of_range) "index out of range" else "kernel failed";
        record.print("{s}: value {d} at position {d}", .{ what, place.value, place.position });
        return record;
    }

    fn print(record: *Record, comptime format: []const u8, args: anytype) void {
        var buffer: [1024]u8 = undefined;
        var writer: std.Io.Writer = .fixed(&buffer);
        writer.print(format, args) catch {}; // A message longer than the buffer is cut.
        record.message.set(writer.buffered());
    }
};

threadlocal var last: Record = .{};

/// Notes the details and returns the error: `return raise(error.Busy, "...", .{...})`.
pub fn raise(comptime e: Error, comptime format: []const u8, args: anytype) Error {
    last = .{ .status = comptime status_of(e) };
    last.print(format, args);
    return e;
}

/// Makes a record that another thread left the last error of this one.
pub fn adopt(record: *const Record) Error {
    last = record.*;
    return switch (record.status) {
        .index_out_of_range => error.IndexOutOfRange,
        .kernel_failed => error.KernelFailed,
        .out_of_memory => error.OutOfMemory,
        else => error.Poisoned,
    };
}

/// The last error of this thread, for another one to adopt.
pub fn last_record() Record {
    return last;
}

pub fn last_message() []const u8 {
    return last.message.slice();
}

pub fn write_json(writer: *std.Io.Writer) std.Io.Writer.Error!void {
    var json: std.json.Stringify = .{ .writer = writer };
    try json.beginObject();
    try json.objectField("code");
    try json.write(@tagName(last.status));
    try json.objectField("message");
    try json.write(last.message.slice());
    if (last.has_place) {
        inline for (.{ "program", "kernel", "scope" }) |name| {
            try json.objectField(name);
            try json.write(@field(last, name).slice());
        }
        inline for (.{ "instruction", "node", "position", "value" }) |name| {
            try json.objectField(name);
            try json.write(@field(last, name));
        }
    }
    try json.endObject();
}

test "every error has a status of its own" {
    var seen: [256]bool = @splat(false);
    inline for (@typeInfo(Error).error_set.?) |e| {
        const status = @intFromEnum(status_of(@field(Error, e.name)));
        try std.testing.expect(status != 0 and !seen[status]);
        seen[status] = true;
    }
}

test "the last error is JSON, whatever its text holds" {
    try std.testing.expectEqual(error.IoFailed, raise(error.IoFailed, "bad \"name\" {s}", .{"\n"}));
    var buffer: [256]u8 = undefined;
    var writer: std.Io.Writer = .fixed(&buffer);
    try write_json(&writer);
    try std.testing.expectEqualStrings(
        "{\"code\":\"io_failed\",\"message\":\"bad \\\"name\\\" \\n\"}",
        writer.buffered(),
    );
}
