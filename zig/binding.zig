//! Programs on a device: load, bind buffers to them, run. Bindings are fixed between runs, so a run is one call
//! without pointers; there are two sets, so that the host may fill one input while the other is being read.
const std = @import("std");
const failure = @import("failure.zig");
const handles = @import("handles.zig");
const Buffer = @import("buffer.zig").Buffer;
const Executable = @import("cuda/executable.zig").Executable;
const Device = @import("runtime.zig").Device;
const Program = @import("program.zig").Program;

const Error = failure.Error;

pub const Loaded = struct {
    device: *Device,
    program: *Program,
    /// Addresses of the bound buffers, a scratch list for `run`.
    addresses: []?[*]u8,
};

pub fn load(device_handle: i64, bytes: []const u8) Error!i64 {
    const allocator = std.heap.c_allocator;
    const device = try handles.get(Device, .device, device_handle);
    const program = try Program.load(bytes, &device.lookup, device.gpu == null);
    errdefer program.free();
    if (device.gpu) |gpu| program.executable = try .load(gpu, program);
    try device.reserve_scratch(program.scratch_bytes);
    const loaded = allocator.create(Loaded) catch return no_memory();
    errdefer allocator.destroy(loaded);
    const addresses = allocator.alloc(?[*]u8, program.buffers.len) catch return no_memory();
    errdefer allocator.free(addresses);
    loaded.* = .{ .device = device, .program = program, .addresses = addresses };
    return handles.add(.program, loaded);
}

/// Device memory that the program itself would take, besides its buffers.
pub fn measure(device_handle: i64, bytes: []const u8) Error!i64 {
    const device = try handles.get(Device, .device, device_handle);
    const gpu = device.gpu orelse return 0;
    const program = try Program.load(bytes, &device.lookup, false);
    defer program.free();
    return @intCast(try Executable.measure(gpu, program));
}

pub fn free(handle: i64) Error!void {
    const loaded = try idle(handle);
    try handles.remove(.program, handle);
    std.heap.c_allocator.free(loaded.addresses);
    loaded.program.free();
    std.heap.c_allocator.destroy(loaded);
}

pub fn bind(handle: i64, index: i64, slot: i64, buffer_handle: i64) Error!void {
    const loaded = try idle(handle);
    const program = loaded.program;
    if (index < 0 or index >= program.buffers.len)
        return failure.raise(error.InvalidArgument, "no buffer {d}", .{index});
    if (slot < 0 or slot > 2) return failure.raise(error.InvalidArgument, "slot {d}", .{slot});
    const i: usize = @intCast(index);
    const buffer = try Buffer.get(buffer_handle);
    const declared = program.buffers[i];
    if (buffer.device != loaded.device)
        return failure.raise(error.InvalidArgument, "the buffer belongs to another device", .{});
    if (buffer.gpu != loaded.device.gpu)
        return failure.raise(error.InvalidArgument, "the buffer is memory of the host", .{});
    if (buffer.block.bytes < declared.bytes) return failure.raise(
        error.BufferTooSmall,
        "program {s} needs {d} bytes for {s}, the buffer has {d}",
        .{ program.name, declared.bytes, declared.name, buffer.block.bytes },
    );
    const first: usize = if (slot == 1) 1 else 0;
    const last: usize = if (slot == 0) 0 else 1;
    for (first..last + 1) |s| {
        // Two program buffers in one place would undo what `load` has checked about overlaps.
        for (program.bindings[s], 0..) |other, j| {
            if (other == buffer_handle and j != i) return failure.raise(
                error.InvalidArgument,
                "program {s}: one buffer cannot be both {s} and {s}",
                .{ program.name, declared.name, program.buffers[j].name },
            );
        }
    }
    for (first..last + 1) |s| {
        program.bindings[s][i] = buffer_handle;
        program.stale[s] = true;
    }
}

pub fn run(handle: i64, slot: i64) Error!i64 {
    const loaded = try handles.get(Loaded, .program, handle);
    if (slot != 0 and slot != 1) return failure.raise(error.InvalidArgument, "slot {d}", .{slot});
    const s: u1 = @intCast(slot);
    try check_bindings(loaded, s);
    // `bind` has seen to it that nothing is in flight when this is needed.
    if (loaded.program.stale[s]) {
        loaded.program.resolve(s, loaded.addresses);
        if (loaded.program.executable) |executable| {
            // Until the device has the addresses they count as old.
            loaded.program.stale[s] = true;
            try loaded.device.explained(executable.resolve(loaded.program, s));
            loaded.program.stale[s] = false;
        }
    }
    return @intCast(try loaded.device.submit(loaded.program, s));
}

fn check_bindings(loaded: *Loaded, slot: u1) Error!void {
    const program = loaded.program;
    for (program.buffers, program.bindings[slot], loaded.addresses) |declared, bound, *address| {
        if (handles.is_live(.buffer, bound)) {
            address.* = (try Buffer.get(bound)).block.data;
        } else if (!declared.used) {
            address.* = null;
        } else return failure.raise(
            error.NotBound,
            "program {s} slot {d}: nothing is bound to {s}{s}",
            .{ program.name, slot, declared.name, if (bound == 0) "" else " any more" },
        );
    }
}

pub fn profile_enable(handle: i64, enabled: bool) Error!void {
    const loaded = try idle(handle);
    if (loaded.program.executable) |executable| try executable.set_profiling(enabled);
    loaded.program.profiling = enabled;
    @memset(loaded.program.profile_ns, 0);
}

pub fn profile(handle: i64, times_ns: ?[*]f64, capacity: i64) Error!i64 {
    const loaded = try idle(handle);
    const source = loaded.program.profile_ns;
    if (times_ns) |target| {
        for (source, 0..) |time_ns, i| {
            if (i < capacity) target[i] = @floatFromInt(time_ns);
        }
    }
    return @intCast(source.len);
}

/// The program, when no run of it is in flight.
fn idle(handle: i64) Error!*Loaded {
    const loaded = try handles.get(Loaded, .program, handle);
    if (!loaded.device.is_done(loaded.program.last_ticket))
        return failure.raise(error.Busy, "program {s} is running; wait for its ticket first", .{loaded.program.name});
    return loaded;
}

fn no_memory() Error {
    return failure.raise(error.OutOfMemory, "no memory for a program", .{});
}
