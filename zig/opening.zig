//! Opening a device: which CPU level, how many threads, or a clear refusal.
const std = @import("std");
const failure = @import("failure.zig");
const handles = @import("handles.zig");
const binding = @import("binding.zig");
const cpuid = @import("cpu/cpuid.zig");
const table = @import("cpu/table.zig");
const topology = @import("cpu/topology.zig");
const Buffer = @import("buffer.zig").Buffer;
const Device = @import("runtime.zig").Device;
const Gpu = @import("cuda/device.zig").Gpu;
const cuda_driver = @import("cuda/driver.zig");
const built = @import("levels");

const Error = failure.Error;

/// The kernels of a level, null when this library was built without it.
fn table_of(level: cpuid.Level) ?*const table.Table {
    return switch (level) {
        .none => null,
        inline else => |l| if (@field(built, @tagName(l)))
            @extern(*const table.Table, .{
                .name = "theseus_kernels_" ++ @tagName(l),
                .visibility = .hidden,
            })
        else
            null,
    };
}

pub fn is_built(level: cpuid.Level) bool {
    return table_of(level) != null;
}

pub fn open(threads: i64, level: i64, guarded: bool) Error!i64 {
    const chosen = try choose_level(level);
    if (threads < 0 or threads > topology.threads_max) return failure.raise(
        error.InvalidArgument,
        "{d} threads, expected 0 (one per core) to {d}",
        .{ threads, topology.threads_max },
    );
    const device = try Device.open(.{
        .level = chosen,
        .threads = if (threads == 0) topology.default_threads() else @intCast(threads),
        .guarded = guarded,
    }, .init(table_of(chosen).?));
    errdefer device.close();
    return handles.add(.device, device);
}

pub const GpuOptions = struct {
    /// Of those that the driver shows.
    ordinal: i64,
    /// Of the driver; empty is the system's.
    path: []const u8,
    /// Folders of cuBLASLt, separated by newlines; an empty one is the system's search.
    libraries: []const u8,
    stepwise: bool,
    measures: bool,
    witnesses: bool,
};

pub fn open_gpu(options: GpuOptions) Error!i64 {
    // The kernels' checks of a program are those of the CPU.
    const level = try choose_level(0);
    const ordinal = options.ordinal;
    if (ordinal < 0 or ordinal > 1 << 16)
        return failure.raise(error.InvalidArgument, "GPU {d}", .{ordinal});
    var buffer: [4096:0]u8 = undefined;
    const name = if (options.path.len == 0) cuda_driver.default_path else options.path;
    if (name.len >= buffer.len or std.mem.indexOfScalar(u8, name, 0) != null)
        return failure.raise(error.InvalidArgument, "the path of the driver is not a path", .{});
    @memcpy(buffer[0..name.len], name);
    buffer[name.len] = 0;
    const gpu: *Gpu = try .open(.{
        .ordinal = @intCast(ordinal),
        .path = buffer[0..name.len :0],
        .libraries = options.libraries,
        .stepwise = options.stepwise,
        .measures = options.measures,
        .witnesses = options.witnesses,
    });
    const device = Device.open(.{
        .level = level,
        .threads = 1,
        .guarded = false,
        .gpu = gpu,
    }, .init(table_of(level).?)) catch |e| {
        gpu.close();
        return e;
    };
    errdefer device.close();
    return handles.add(.device, device);
}

pub fn close(handle: i64) Error!void {
    const device = try handles.get(Device, .device, handle);
    var cursor: u32 = 0;
    // Whoever waited for that run has heard of its failure.
    _ = device.wait(device.submitted, -1) catch {};
    while (handles.next(binding.Loaded, .program, &cursor)) |each| {
        if (each.pointer.device == device) try binding.free(each.handle);
    }
    cursor = 0;
    var result: Error!void = {};
    while (handles.next(Buffer, .buffer, &cursor)) |each| {
        if (each.pointer.device == device) Buffer.free(each.handle) catch |e| {
            result = e;
        };
    }
    try handles.remove(.device, handle);
    device.close();
    return result;
}

fn choose_level(level: i64) Error!cpuid.Level {
    const best = cpuid.detect().level();
    if (best == .none) return failure.raise(
        error.Unsupported,
        "this CPU (or its system) is below x86-64-v3: AVX2, FMA, F16C and BMI are needed",
        .{},
    );
    if (level == 0) {
        var candidate = @intFromEnum(best);
        while (candidate > 0) : (candidate -= 1) {
            const found: cpuid.Level = @enumFromInt(candidate);
            if (is_built(found)) return found;
        }
        return failure.raise(error.Unsupported, "this library holds no kernels for CPU level {s}", .{@tagName(best)});
    }
    const wanted = std.enums.fromInt(cpuid.Level, level) orelse
        return failure.raise(error.InvalidArgument, "CPU level {d}", .{level});
    if (@intFromEnum(wanted) > @intFromEnum(best)) return failure.raise(
        error.Unsupported,
        "CPU level {s} was asked for, this machine has {s}",
        .{ @tagName(wanted), @tagName(best) },
    );
    if (!is_built(wanted))
        return failure.raise(error.Unsupported, "this library was built without CPU level {s}", .{@tagName(wanted)});
    return wanted;
}
