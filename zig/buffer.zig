//! A buffer: zeroed memory that the host fills, reads, maps or exchanges with a file. While a run that uses it is in
//! flight only `map` may touch it, so a forgotten wait is an error and not a torn copy.
const std = @import("std");
const failure = @import("failure.zig");
const file = @import("file.zig");
const handles = @import("handles.zig");
const memory = @import("memory.zig");
const wire = @import("wire.zig");
const Device = @import("runtime.zig").Device;
const Gpu = @import("cuda/device.zig").Gpu;

const Error = failure.Error;

pub const Buffer = struct {
    device: *Device,
    /// Set: `block.data` is an address of this GPU's memory, which the host cannot touch.
    gpu: ?*Gpu,
    block: memory.Block,

    /// `on_host`: memory of the host, also where the device is a GPU; programs cannot use it then.
    pub fn alloc(device: *Device, bytes: i64, on_host: bool) Error!i64 {
        if (bytes < 0 or bytes > wire.buffer_bytes_max)
            return failure.raise(error.InvalidArgument, "a buffer of {d} bytes", .{bytes});
        const size: u64 = @intCast(bytes);
        const gpu = if (on_host) null else device.gpu;
        if (device.gpu == null) try device.check_memory(size);
        if (on_host and device.gpu != null and size > memory.available())
            return failure.raise(error.OutOfMemory, "this machine has no {d} bytes free for copies", .{size});
        const buffer = std.heap.c_allocator.create(Buffer) catch return no_memory(size);
        errdefer std.heap.c_allocator.destroy(buffer);
        const block = if (gpu) |g|
            memory.Block{ .data = @ptrFromInt(try g.alloc(size)), .bytes = size }
        else
            memory.allocate(size, device.guarded) orelse return no_memory(size);
        errdefer give_back(gpu, block);
        buffer.* = .{ .device = device, .gpu = gpu, .block = block };
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
        give_back(buffer.gpu, buffer.block);
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
        return part(try idle(handle), offset, bytes);
    }

    fn part(buffer: *const Buffer, offset: i64, bytes: i64) Error![]u8 {
        const size: i64 = @intCast(buffer.block.bytes);
        if (offset < 0 or bytes < 0 or offset > size or bytes > size - offset) return failure.raise(
            error.InvalidArgument,
            "{d} bytes at offset {d} lie outside a buffer of {d} bytes",
            .{ bytes, offset, size },
        );
        return buffer.block.data[@intCast(offset)..][0..@intCast(bytes)];
    }
};

fn give_back(gpu: ?*Gpu, block: memory.Block) void {
    if (gpu) |g| g.free(@intFromPtr(block.data), block.bytes) else memory.release(block);
}

fn gpu_of(handle: i64) ?*Gpu {
    return (Buffer.get(handle) catch return null).gpu;
}

fn explained(handle: i64, result: Error!void) Error!void {
    return (try Buffer.get(handle)).device.explained(result);
}

pub fn write(handle: i64, offset: i64, source: ?[*]const u8, bytes: i64) Error!void {
    const into = try Buffer.range(handle, offset, bytes);
    if (into.len == 0) return;
    const from = (source orelse return null_pointer())[0..into.len];
    if (gpu_of(handle)) |gpu| return explained(handle, gpu.write(@intFromPtr(into.ptr), from));
    @memcpy(into, from);
}

/// `running`: also while runs use the buffer, which the caller knows to only read it.
pub fn read(handle: i64, offset: i64, target: ?[*]u8, bytes: i64, running: bool) Error!void {
    const from = if (running)
        try Buffer.part(try Buffer.get(handle), offset, bytes)
    else
        try Buffer.range(handle, offset, bytes);
    if (from.len == 0) return;
    const into = (target orelse return null_pointer())[0..from.len];
    if (gpu_of(handle)) |gpu| return explained(handle, gpu.read(into, @intFromPtr(from.ptr)));
    @memcpy(into, from);
}

pub fn fill(handle: i64, offset: i64, bytes: i64, value: u8) Error!void {
    const into = try Buffer.range(handle, offset, bytes);
    const at = @intFromPtr(into.ptr);
    if (gpu_of(handle)) |gpu| return explained(handle, gpu.fill(at, into.len, value));
    @memset(into, value);
}

pub fn copy(to: i64, to_offset: i64, from: i64, from_offset: i64, bytes: i64) Error!void {
    const target = try Buffer.range(to, to_offset, bytes);
    const source = try Buffer.range(from, from_offset, bytes);
    const gpu = gpu_of(to);
    if (gpu != gpu_of(from))
        return failure.raise(error.InvalidArgument, "the buffers belong to different devices", .{});
    if (gpu) |g|
        return explained(to, g.copy(@intFromPtr(target.ptr), @intFromPtr(source.ptr), target.len));
    @memmove(target, source);
}

pub fn map(handle: i64) Error!i64 {
    const buffer = try Buffer.get(handle);
    if (buffer.gpu != null)
        return failure.raise(error.Unsupported, "memory of a GPU cannot be mapped: read it", .{});
    return @intCast(@intFromPtr(buffer.block.data));
}

pub fn save(handle: i64, offset: i64, bytes: i64, path: []const u8, position: i64) Error!void {
    const from = try Buffer.range(handle, offset, bytes);
    const to = try file.Path.init(path);
    const start = try check_position(position);
    const gpu = gpu_of(handle) orelse return file.write_at(&to, start, from);
    return explained(handle, save_from(gpu, from, &to, start));
}

fn save_from(gpu: *Gpu, from: []const u8, to: *const file.Path, start: u64) Error!void {
    var piece: Piece = try .init(from.len);
    defer piece.deinit();
    while (piece.next()) |part| {
        try gpu.read(part.host, @intFromPtr(from.ptr) + part.at);
        try file.write_at(to, start + part.at, part.host);
    }
}

pub fn load(handle: i64, offset: i64, bytes: i64, path: []const u8, position: i64) Error!void {
    const into = try Buffer.range(handle, offset, bytes);
    const from = try file.Path.init(path);
    const start = try check_position(position);
    const gpu = gpu_of(handle) orelse return file.read_at(&from, start, into);
    return explained(handle, load_into(gpu, into, &from, start));
}

fn load_into(gpu: *Gpu, into: []u8, from: *const file.Path, start: u64) Error!void {
    var at: u64 = 0;
    while (at < into.len) {
        const piece = try gpu.claim(into.len - at);
        try file.read_at(from, start + at, piece);
        try gpu.send(@intFromPtr(into.ptr) + at, piece);
        at += piece.len;
    }
}

/// Host memory through which device memory goes to files, a piece at a time.
const Piece = struct {
    host: []u8,
    total: u64,
    at: u64 = 0,

    const bytes_max = 16 << 20;

    fn init(total: u64) Error!Piece {
        const size = @min(total, bytes_max);
        const host = std.heap.c_allocator.alloc(u8, size) catch return no_memory(size);
        return .{ .host = host, .total = total };
    }

    fn deinit(piece: *const Piece) void {
        std.heap.c_allocator.free(piece.host);
    }

    fn next(piece: *Piece) ?struct { at: u64, host: []u8 } {
        if (piece.at == piece.total) return null;
        const at = piece.at;
        const n = @min(piece.host.len, piece.total - at);
        piece.at += n;
        return .{ .at = at, .host = piece.host[0..n] };
    }
};

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
