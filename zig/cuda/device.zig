//! One GPU: its context, module, streams and memory. Programs run on one stream; copies between host and device have a
//! stream of their own and go through a pinned piece of memory, so that they do not wait for what runs.
const std = @import("std");
const failure = @import("../failure.zig");
const image = @import("cuda_image");
const driver_file = @import("driver.zig");
const launches = @import("launches.zig");
const Fault = @import("task.zig").Fault;

const Address = driver_file.Address;
const Driver = driver_file.Driver;
const Error = failure.Error;
const Handle = driver_file.Handle;

const staging_bytes = 4 << 20;
const event_without_timing = 2;
const stream_non_blocking = 1;
const attribute_major = 75;
const attribute_minor = 76;
/// Of a function: how much dynamic shared memory a launch may ask for, where that is more than `shared_free`.
const function_shared_max = 8;
const shared_free = 48 << 10;

/// Runs that the device may hold at once: one is computed while the next one waits behind it.
pub const runs_max = 2;

pub const Gpu = struct {
    driver: Driver,
    ordinal: u32,
    device: c_int,
    context: Handle,
    module: Handle = null,
    functions: std.EnumArray(launches.Kernel, Handle) = .initFill(null),
    compute: Handle = null,
    copies: Handle = null,
    staging: Handle = null,
    fault: Address = 0,
    /// Pinned: where each run in flight leaves a copy of the fault record.
    reports: Handle = null,
    done: [runs_max]Handle = @splat(null),
    name: [100]u8 = @splat(0),
    capability: u32 = 0,
    free_bytes: usize = 0,
    total_bytes: usize = 0,
    /// Waits after every kernel, so that a failure names its instruction.
    stepwise: bool,

    pub fn open(ordinal: u32, path: [:0]const u8, stepwise: bool) Error!*Gpu {
        const gpu = std.heap.c_allocator.create(Gpu) catch
            return failure.raise(error.OutOfMemory, "no memory for a device", .{});
        errdefer std.heap.c_allocator.destroy(gpu);
        gpu.* = .{
            .driver = try Driver.open(path),
            .ordinal = ordinal,
            .device = 0,
            .context = null,
            .stepwise = stepwise,
        };
        errdefer gpu.driver.close();
        try gpu.find();
        const retained = gpu.driver.call.cuDevicePrimaryCtxRetain(&gpu.context, gpu.device);
        try gpu.driver.check(retained, "GPU {d} cannot be used", .{ordinal});
        errdefer gpu.release();
        try gpu.prepare();
        return gpu;
    }

    pub fn close(gpu: *Gpu) void {
        gpu.enter();
        gpu.release();
        gpu.driver.close();
        std.heap.c_allocator.destroy(gpu);
    }

    /// The calling thread works on this GPU from now on.
    pub fn enter(gpu: *const Gpu) void {
        _ = gpu.driver.call.cuCtxSetCurrent(gpu.context);
    }

    fn find(gpu: *Gpu) Error!void {
        const call = &gpu.driver.call;
        var count: c_int = 0;
        try gpu.driver.check(call.cuDeviceGetCount(&count), "GPUs cannot be listed", .{});
        if (gpu.ordinal >= count) return failure.raise(
            error.Unsupported,
            "there is no GPU {d}: this process sees {d} (CUDA_VISIBLE_DEVICES decides which)",
            .{ gpu.ordinal, count },
        );
        const found = call.cuDeviceGet(&gpu.device, @intCast(gpu.ordinal));
        try gpu.driver.check(found, "GPU {d} cannot be opened", .{gpu.ordinal});
        _ = call.cuDeviceGetName(&gpu.name, gpu.name.len - 1, gpu.device);
        var major: c_int = 0;
        var minor: c_int = 0;
        _ = call.cuDeviceGetAttribute(&major, attribute_major, gpu.device);
        _ = call.cuDeviceGetAttribute(&minor, attribute_minor, gpu.device);
        gpu.capability = @intCast(major * 10 + minor);
        if (gpu.capability < driver_file.capability_min) return failure.raise(
            error.Unsupported,
            "GPU {d} ({s}) has compute capability {d}.{d}, at least 8.0 (Ampere) is needed",
            .{ gpu.ordinal, gpu.name_text(), major, minor },
        );
        if (image.bytes == null and !gpu.driver.is_virtual) return failure.raise(
            error.Unsupported,
            "this library was built without CUDA kernels: run scripts/setup --cuda and build it again",
            .{},
        );
    }

    fn prepare(gpu: *Gpu) Error!void {
        const call = &gpu.driver.call;
        gpu.enter();
        const pointer: *const anyopaque = if (image.bytes) |bytes| bytes.ptr else "";
        const loaded = call.cuModuleLoadData(&gpu.module, pointer);
        try gpu.driver.check(loaded, "the kernels do not load on GPU {d}", .{gpu.ordinal});
        for (std.enums.values(launches.Kernel)) |kernel| {
            const to = gpu.functions.getPtr(kernel);
            const found = call.cuModuleGetFunction(to, gpu.module, @tagName(kernel));
            try gpu.driver.check(found, "the kernel {s} is missing", .{@tagName(kernel)});
            const shared = launches.block_of(kernel).shared_bytes;
            if (shared <= shared_free) continue;
            const allowed = call.cuFuncSetAttribute(to.*, function_shared_max, @intCast(shared));
            try gpu.driver.check(
                allowed,
                "the kernel {s} cannot have {d} bytes of shared memory",
                .{ @tagName(kernel), shared },
            );
        }
        const streams = "a stream cannot be made";
        try gpu.driver.check(call.cuStreamCreate(&gpu.compute, stream_non_blocking), streams, .{});
        try gpu.driver.check(call.cuStreamCreate(&gpu.copies, stream_non_blocking), streams, .{});
        const pinned = "no pinned memory";
        try gpu.driver.check(call.cuMemHostAlloc(&gpu.staging, staging_bytes, 0), pinned, .{});
        const report_bytes = runs_max * @sizeOf(Fault);
        try gpu.driver.check(call.cuMemHostAlloc(&gpu.reports, report_bytes, 0), pinned, .{});
        for (&gpu.done) |*event| {
            const made = call.cuEventCreate(event, event_without_timing);
            try gpu.driver.check(made, "an event cannot be made", .{});
        }
        gpu.fault = try gpu.alloc(@sizeOf(Fault));
        const fresh: Fault = .{};
        try gpu.write(gpu.fault, std.mem.asBytes(&fresh));
        _ = call.cuMemGetInfo_v2(&gpu.free_bytes, &gpu.total_bytes);
    }

    fn release(gpu: *Gpu) void {
        const call = &gpu.driver.call;
        if (gpu.fault != 0) _ = call.cuMemFree_v2(gpu.fault);
        for (gpu.done) |event| if (event != null) {
            _ = call.cuEventDestroy_v2(event);
        };
        for ([_]Handle{ gpu.reports, gpu.staging }) |host| if (host != null) {
            _ = call.cuMemFreeHost(host);
        };
        for ([_]Handle{ gpu.copies, gpu.compute }) |stream| if (stream != null) {
            _ = call.cuStreamDestroy_v2(stream);
        };
        if (gpu.module != null) _ = call.cuModuleUnload(gpu.module);
        _ = call.cuDevicePrimaryCtxRelease_v2(gpu.device);
    }

    pub fn name_text(gpu: *const Gpu) []const u8 {
        return std.mem.sliceTo(&gpu.name, 0);
    }

    /// Zeroed memory.
    pub fn alloc(gpu: *Gpu, bytes: u64) Error!Address {
        gpu.enter();
        const size = @max(1, bytes);
        var address: Address = 0;
        var available: usize = 0;
        var total: usize = 0;
        _ = gpu.driver.call.cuMemGetInfo_v2(&available, &total);
        const made = gpu.driver.call.cuMemAlloc_v2(&address, size);
        try gpu.driver.check(
            made,
            "{d} bytes do not fit into GPU {d} ({s}), which has {d} of {d} bytes free",
            .{ size, gpu.ordinal, gpu.name_text(), available, total },
        );
        errdefer gpu.free(address);
        try gpu.fill(address, size, 0);
        return address;
    }

    pub fn free(gpu: *Gpu, address: Address) void {
        gpu.enter();
        _ = gpu.driver.call.cuMemFree_v2(address);
    }

    pub fn write(gpu: *Gpu, to: Address, from: []const u8) Error!void {
        gpu.enter();
        const stage: [*]u8 = @ptrCast(gpu.staging.?);
        var at: usize = 0;
        while (at < from.len) {
            const n = @min(staging_bytes, from.len - at);
            @memcpy(stage[0..n], from[at..][0..n]);
            const put = gpu.driver.call.cuMemcpyHtoDAsync_v2(to + at, stage, n, gpu.copies);
            try gpu.driver.check(put, copy_problem, .{gpu.ordinal});
            try gpu.finish_copies();
            at += n;
        }
    }

    pub fn read(gpu: *Gpu, to: []u8, from: Address) Error!void {
        gpu.enter();
        const stage: [*]u8 = @ptrCast(gpu.staging.?);
        var at: usize = 0;
        while (at < to.len) {
            const n = @min(staging_bytes, to.len - at);
            const put = gpu.driver.call.cuMemcpyDtoHAsync_v2(stage, from + at, n, gpu.copies);
            try gpu.driver.check(put, copy_problem, .{gpu.ordinal});
            try gpu.finish_copies();
            @memcpy(to[at..][0..n], stage[0..n]);
            at += n;
        }
    }

    pub fn fill(gpu: *Gpu, at: Address, bytes: u64, value: u8) Error!void {
        if (bytes == 0) return;
        gpu.enter();
        const put = gpu.driver.call.cuMemsetD8Async(at, value, bytes, gpu.copies);
        try gpu.driver.check(put, copy_problem, .{gpu.ordinal});
        try gpu.finish_copies();
    }

    /// The ranges must not overlap unless they are the same.
    pub fn copy(gpu: *Gpu, to: Address, from: Address, bytes: u64) Error!void {
        if (bytes == 0 or to == from) return;
        gpu.enter();
        const put = gpu.driver.call.cuMemcpyDtoDAsync_v2(to, from, bytes, gpu.copies);
        try gpu.driver.check(put, copy_problem, .{gpu.ordinal});
        try gpu.finish_copies();
    }

    fn finish_copies(gpu: *Gpu) Error!void {
        const done = gpu.driver.call.cuStreamSynchronize(gpu.copies);
        try gpu.driver.check(done, copy_problem, .{gpu.ordinal});
    }
};

const copy_problem = "memory of GPU {d} cannot be copied";
