//! A buffer: zeroed memory that the host fills, reads, maps or exchanges with a file. While a run that uses it is in
//! flight only `map` may touch it, so a forgotten wait is an error and not a torn copy.
const std = @import("std");
const failure = @import("failure.zig");
const file = @import("file.zig");
const handles = @import("handles.zig");
const memory = @import("memory.zig");
const wire = @import("wire.zig");
const Device = @import("runtime.zig").Device;

const Error = failure.Error;

pub const Buffer = struct {
    device: *Device,
    block: memory.Block,

    pub fn alloc(device: *Device, bytes: i64) Error!i64 {
        if (bytes < 0 or bytes > wire.buffer_bytes_max)
            return failure.raise(error.InvalidArgument, "a buffer of {d} bytes", .{bytes});
        const size: u64 = @intCast(bytes);
        try device.check_memory(size);
        const buffer = std.heap.c_allocator.create(Buffer) catch return no_memory(size);
        errdefer std.heap.c_allocator.destroy(buffer);
        const block = memory.allocate(size, device.guarded) orelse return no_memory(size);
        errdefer memory.release(block);
        buffer.* = .{ .device = device, .block = block };
        const handle = try handles.add(.buffer, buffer);
        device.buffer_bytes += size;
        device.buffer_count += 1;
        return handle;
    }

    pub fn free(handle: i64) Error!void {
        const buffer = try idle(handle);
        const intact = buffer.block.is_intact();
        try handles.remove(.buffer, handle);
        buffer.device.buffer_bytes -= buffer.block.bytes;
        buffer.device.buffer_count -= 1;
        memory.release(buffer.block);
        std.heap.c_allocator.destroy(buffer);
        if (!intact) return failure.raise(error.KernelFailed, "something wrote beyond the end of a buffer", .{});
    }

    pub fn get(handle: i64) Error!*Buffer {
        return handles.get(Buffer, .buffer, handle);
    }

    /// The buffer, when no run in flight uses it.
    fn idle(handle: i64) Error!*Buffer {
        const buffer = try get(handle);
        if (buffer.device.is_in_flight(handle))
            return failure.raise(error.Busy, "a run in flight uses this buffer; wait for its ticket first", .{});
        return buffer;
    }

    /// Bytes `offset .. offset + bytes` of an idle buffer.
    fn range(handle: i64, offset: i64, bytes: i64) Error![]u8 {
        const buffer = try idle(handle);
        const size: i64 = @intCast(buffer.block.bytes);
        if (offset < 0 or bytes < 0 or offset > size or bytes > size - offset) return failure.raise(
            error.InvalidArgument,
            "{d} bytes at offset {d} lie outside a buffer of {d} bytes",
            .{ bytes, offset, size },
        );
        return buffer.block.data[@intCast(offset)..][0..@intCast(bytes)];
    }
};

pub fn write(handle: i64, offset: i64, source: ?[*]const u8, bytes: i64) Error!void {
    const into = try Buffer.range(handle, offset, bytes);
    if (into.len > 0) @memcpy(into, (source orelse return null_pointer())[0..into.len]);
}

pub fn read(handle: i64, offset: i64, target: ?[*]u8, bytes: i64) Error!void {
    const from = try Buffer.range(handle, offset, bytes);
    if (from.len > 0) @memcpy((target orelse return null_pointer())[0..from.len], from);
}

pub fn fill(handle: i64, offset: i64, bytes: i64, value: u8) Error!void {
    @memset(try Buffer.range(handle, offset, bytes), value);
}

pub fn copy(to: i64, to_offset: i64, from: i64, from_offset: i64, bytes: i64) Error!void {
    const target = try Buffer.range(to, to_offset, bytes);
    const source = try Buffer.range(from, from_offset, bytes);
    @memmove(target, source);
}

pub fn save(handle: i64, offset: i64, bytes: i64, path: []const u8, position: i64) Error!void {
    const from = try Buffer.range(handle, offset, bytes);
    try file.write_at(&try file.Path.init(path), try check_position(position), from);
}

pub fn load(handle: i64, offset: i64, bytes: i64, path: []const u8, position: i64) Error!void {
    const into = try Buffer.range(handle, offset, bytes);
    try file.read_at(&try file.Path.init(path), try check_position(position), into);
}

fn check_position(position: i64) Error!u64 {
    if (position < 0 or position > 1 << 60)
        return failure.raise(error.InvalidArgument, "position {d} in a file", .{position});
    return @intCast(position);
}

fn null_pointer() Error {
    return failure.raise(error.InvalidArgument, "a null pointer", .{});
}

fn no_memory(bytes: u64) Error {
    return failure.raise(error.OutOfMemory, "the system gives no {d} bytes", .{bytes});
}
