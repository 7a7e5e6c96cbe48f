//! One GPU: its context, module, streams and memory. Programs run on one stream; copies between host and device have a
//! stream of their own and go through pinned memory, so that they do not wait for what runs. Writes return before they are
//! done: a run that is submitted after them waits for them on the device (`mark`), the host does not.
const std = @import("std");
const failure = @import("../failure.zig");
const image = @import("cuda_image");
const driver_file = @import("driver.zig");
const launches = @import("launches.zig");
const numbers = @import("numbers.zig");
const ring_file = @import("ring.zig");
const Products = @import("products.zig").Products;
const Witness = @import("witness.zig").Witness;
const Fault = @import("task.zig").Fault;

const Address = driver_file.Address;
const Driver = driver_file.Driver;
const Error = failure.Error;
const Handle = driver_file.Handle;

const staging_bytes = ring_file.piece_bytes;
const event_without_timing = numbers.CU_EVENT_DISABLE_TIMING;
const stream_non_blocking = numbers.CU_STREAM_NON_BLOCKING;
const attribute_major = numbers.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR;
const attribute_minor = numbers.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR;
/// Of a function: how much dynamic shared memory a launch may ask for, where that is more than `shared_free`.
const function_shared_max = numbers.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
const shared_free = 48 << 10;
/// wgmma is of this one alone, no newer GPU has it.
const wgmma_capability = 90;

/// Runs that the device may hold at once: one is computed while the next one waits behind it.
pub const runs_max = 2;
/// Runs that may wait for one of these, by their tickets.
pub const marks_max = 16;

pub const Options = struct {
    ordinal: u32,
    /// Of the driver.
    path: [:0]const u8,
    /// Folders of cuBLASLt, see `CublasLt.open`.
    libraries: []const u8,
    /// Waits after every kernel, so that a failure names its instruction.
    stepwise: bool,
    /// Algorithms of products are chosen by time.
    measures: bool,
    /// Kernels tell the host that they begin, see `Witness`.
    witnesses: bool,
};

pub const Gpu = struct {
    driver: Driver,
    ordinal: u32,
    /// GPUs that the process sees.
    count: u32 = 0,
    device: c_int,
    context: Handle,
    module: Handle = null,
    /// Of the kernels that some program uses.
    functions: std.EnumArray(launches.Kernel, Handle) = .initFill(null),
    /// cuBLASLt; there from the moment the device is open.
    products: ?*Products = null,
    compute: Handle = null,
    copies: Handle = null,
    ring: ring_file.Ring = .{},
    /// Pinned: what is read.
    staging: Handle = null,
    /// Something was put on `copies` that nobody has waited for.
    copying: bool = false,
    marks: [marks_max]Handle = @splat(null),
    fault: Address = 0,
    witness: Witness = .{},
    /// Pinned: where each run in flight leaves a copy of the fault record.
    reports: Handle = null,
    done: [runs_max]Handle = @splat(null),
    name: [100]u8 = @splat(0),
    capability: u32 = 0,
    free_bytes: usize = 0,
    total_bytes: usize = 0,
    /// All that `alloc` gave and `free` did not take back, and how much of it the device itself needs.
    allocated_bytes: u64 = 0,
    own_bytes: u64 = 0,
    /// Waits after every kernel, so that a failure names its instruction.
    stepwise: bool,
    /// Programs that are loaded from now on have attention by wgmma where there is a kernel for it. Never unless asked for: no GPU
    /// has run these kernels. A run keeps to what it began with, for the bits are others (`Products.read_choices`).
    wgmma: bool = false,
    /// Kernels tell the host that they begin.
    witnesses: bool,

    pub fn open(options: Options) Error!*Gpu {
        const gpu = std.heap.c_allocator.create(Gpu) catch
            return failure.raise(error.OutOfMemory, "no memory for a device", .{});
        errdefer std.heap.c_allocator.destroy(gpu);
        gpu.* = .{
            .driver = try Driver.open(options.path),
            .ordinal = options.ordinal,
            .device = 0,
            .context = null,
            .stepwise = options.stepwise,
            .witnesses = options.witnesses,
        };
        errdefer gpu.driver.close();
        try gpu.find();
        const retained = gpu.driver.call.cuDevicePrimaryCtxRetain(&gpu.context, gpu.device);
        try gpu.driver.check(retained, "GPU {d} cannot be used", .{gpu.ordinal});
        errdefer gpu.release();
        try gpu.prepare();
        gpu.products = try .open(gpu, options.libraries, options.measures);
        gpu.note_memory();
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
        gpu.count = @intCast(@max(0, count));
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
        const streams = "a stream cannot be made";
        try gpu.driver.check(call.cuStreamCreate(&gpu.compute, stream_non_blocking), streams, .{});
        try gpu.driver.check(call.cuStreamCreate(&gpu.copies, stream_non_blocking), streams, .{});
        const pinned = "no pinned memory";
        try gpu.ring.open(&gpu.driver);
        try gpu.driver.check(call.cuMemHostAlloc(&gpu.staging, staging_bytes, 0), pinned, .{});
        const report_bytes = runs_max * @sizeOf(Fault);
        try gpu.driver.check(call.cuMemHostAlloc(&gpu.reports, report_bytes, 0), pinned, .{});
        if (gpu.witnesses) try gpu.witness.open(&gpu.driver);
        for (&gpu.done) |*event| event.* = try gpu.new_event(event_without_timing);
        for (&gpu.marks) |*event| event.* = try gpu.new_event(event_without_timing);
        gpu.fault = try gpu.alloc(@sizeOf(Fault));
        const fresh: Fault = .{};
        try gpu.write(gpu.fault, std.mem.asBytes(&fresh));
    }

    /// When all is there that the device itself needs.
    fn note_memory(gpu: *Gpu) void {
        gpu.own_bytes = gpu.allocated_bytes;
        _ = gpu.driver.call.cuMemGetInfo_v2(&gpu.free_bytes, &gpu.total_bytes);
        // A plan counts what the device itself took.
        gpu.free_bytes += gpu.own_bytes;
    }

    pub fn new_event(gpu: *const Gpu, flags: c_uint) Error!Handle {
        var event: Handle = null;
        const made = gpu.driver.call.cuEventCreate(&event, flags);
        try gpu.driver.check(made, "an event cannot be made", .{});
        return event;
    }

    /// Which kernels of attention programs get that are loaded from now on.
    pub fn choose_attention(gpu: *Gpu, name: []const u8) Error!void {
        const wgmma = std.mem.eql(u8, name, "wgmma");
        if (!wgmma and !std.mem.eql(u8, name, "mma"))
            return failure.raise(error.InvalidArgument, "no attention is called {s}", .{name});
        if (wgmma and gpu.capability != wgmma_capability) return failure.raise(
            error.Unsupported,
            "attention by wgmma needs a GPU of compute capability 9.0 (Hopper), GPU {d} ({s}) has {d}.{d}",
            .{ gpu.ordinal, gpu.name_text(), gpu.capability / 10, gpu.capability % 10 },
        );
        gpu.wgmma = wgmma;
    }

    pub fn attention_name(gpu: *const Gpu) []const u8 {
        return if (gpu.wgmma) "wgmma" else "mma";
    }

    /// The kernel, brought to the device now: capturing a graph is no time to load code.
    pub fn function(gpu: *Gpu, kernel: launches.Kernel) Error!Handle {
        const known = gpu.functions.getPtr(kernel);
        if (known.* != null) return known.*;
        gpu.enter();
        const call = &gpu.driver.call;
        var found: Handle = null;
        const name = @tagName(kernel);
        const got = call.cuModuleGetFunction(&found, gpu.module, name);
        try gpu.driver.check(got, "the kernel {s} is missing", .{name});
        try gpu.driver.check(call.cuFuncLoad(found), "the kernel {s} does not load", .{name});
        const shared = launches.block_of(kernel).shared_bytes;
        if (shared > shared_free) {
            const allowed = call.cuFuncSetAttribute(found, function_shared_max, @intCast(shared));
            const what = "the kernel {s} cannot have {d} bytes of shared memory";
            try gpu.driver.check(allowed, what, .{ name, shared });
        }
        known.* = found;
        return found;
    }

    fn release(gpu: *Gpu) void {
        const call = &gpu.driver.call;
        // The context stays where cuBLASLt was opened: what it keeps in it must find the same one next time.
        const keeps_context = gpu.products != null;
        if (gpu.copies != null) _ = call.cuStreamSynchronize(gpu.copies);
        if (gpu.products) |products| products.close();
        if (gpu.fault != 0) gpu.free(gpu.fault, @sizeOf(Fault));
        for (gpu.done ++ gpu.marks) |event| if (event != null) {
            _ = call.cuEventDestroy_v2(event);
        };
        gpu.ring.close(&gpu.driver);
        gpu.witness.close(&gpu.driver);
        for ([_]Handle{ gpu.reports, gpu.staging }) |host| if (host != null) {
            _ = call.cuMemFreeHost(host);
        };
        for ([_]Handle{ gpu.copies, gpu.compute }) |stream| if (stream != null) {
            _ = call.cuStreamDestroy_v2(stream);
        };
        if (gpu.module != null) _ = call.cuModuleUnload(gpu.module);
        if (!keeps_context) _ = call.cuDevicePrimaryCtxRelease_v2(gpu.device);
    }

    pub fn name_text(gpu: *const Gpu) []const u8 {
        return std.mem.sliceTo(&gpu.name, 0);
    }

    /// Zeroed memory.
    pub fn alloc(gpu: *Gpu, bytes: u64) Error!Address {
        gpu.enter();
        const size = @max(1, bytes);
        var address: Address = 0;
        const call = &gpu.driver.call;
        const made = call.cuMemAlloc_v2(&address, size);
        if (made != driver_file.success) {
            var available: usize = 0;
            var total: usize = 0;
            _ = call.cuMemGetInfo_v2(&available, &total);
            try gpu.driver.check(
                made,
                "{d} bytes do not fit into GPU {d} ({s}), which has {d} of {d} bytes free",
                .{ size, gpu.ordinal, gpu.name_text(), available, total },
            );
        }
        gpu.allocated_bytes += size;
        errdefer gpu.free(address, bytes);
        const put = call.cuMemsetD8Async(address, 0, size, gpu.copies);
        try gpu.driver.check(put, copy_problem, .{gpu.ordinal});
        gpu.copying = true;
        return address;
    }

    /// `bytes`: as `alloc` was asked for.
    pub fn free(gpu: *Gpu, address: Address, bytes: u64) void {
        gpu.enter();
        // What fails here shows in whatever comes next; the error that may be on its way stays the last one.
        _ = gpu.driver.call.cuStreamSynchronize(gpu.copies);
        gpu.allocated_bytes -= @max(1, bytes);
        _ = gpu.driver.call.cuMemFree_v2(address);
    }

    /// Returns when the source has been read; a run that is submitted after it finds what was written.
    pub fn write(gpu: *Gpu, to: Address, from: []const u8) Error!void {
        var at: usize = 0;
        while (at < from.len) {
            const piece = try gpu.claim(from.len - at);
            @memcpy(piece, from[at..][0..piece.len]);
            try gpu.send(to + at, piece);
            at += piece.len;
        }
    }

    /// Pinned memory for at most so many bytes, to be filled and sent.
    pub fn claim(gpu: *Gpu, bytes: u64) Error![]u8 {
        gpu.enter();
        return gpu.ring.claim(&gpu.driver, bytes);
    }

    /// Copies the claimed piece, behind what was written before it.
    pub fn send(gpu: *Gpu, to: Address, piece: []u8) Error!void {
        const call = &gpu.driver.call;
        const put = call.cuMemcpyHtoDAsync_v2(to, piece.ptr, piece.len, gpu.copies);
        try gpu.driver.check(put, copy_problem, .{gpu.ordinal});
        gpu.copying = true;
        try gpu.ring.sent(&gpu.driver, piece.len, gpu.copies);
    }

    /// Whether a run has to wait for mark `index`, which stands behind all that was written so far.
    pub fn mark(gpu: *Gpu, index: usize) Error!bool {
        if (!gpu.copying) return false;
        gpu.enter();
        const recorded = gpu.driver.call.cuEventRecord(gpu.marks[index], gpu.copies);
        try gpu.driver.check(recorded, copy_problem, .{gpu.ordinal});
        gpu.copying = false;
        return true;
    }

    /// What is put on the compute stream from now on waits for mark `index`.
    pub fn wait_for_mark(gpu: *Gpu, index: usize) Error!void {
        const waits = gpu.driver.call.cuStreamWaitEvent(gpu.compute, gpu.marks[index], 0);
        try gpu.driver.check(waits, copy_problem, .{gpu.ordinal});
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
        gpu.copying = false;
    }
};

const copy_problem = "memory of GPU {d} cannot be copied";
