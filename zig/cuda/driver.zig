//! The CUDA driver, opened at run time: libcuda.so.1 comes with the machine's NVIDIA driver and is never linked. Every
//! function that the library uses is in `Functions`; one that is missing means a driver that is too old.
const std = @import("std");
const failure = @import("../failure.zig");
const advice = @import("advice.zig").advice;
const numbers = @import("numbers.zig");

const Error = failure.Error;

pub const Address = u64;
pub const Handle = ?*anyopaque;
const Result = c_int;

/// The fat binary is made by nvcc 13.0, whose code needs this driver.
pub const version_min = 13000;
pub const driver_min = "580";
/// Compute capability of the oldest GPU that has code in the fat binary.
pub const capability_min = 80;

pub const default_path = "libcuda.so.1";

pub const success = numbers.CUDA_SUCCESS;
const no_device = numbers.CUDA_ERROR_NO_DEVICE;
const out_of_memory = numbers.CUDA_ERROR_OUT_OF_MEMORY;
pub const not_ready = numbers.CUDA_ERROR_NOT_READY;

/// Failures of a kernel after which nothing of the process runs on the GPU any more; every later call returns the same one.
pub fn is_fatal(result: Result) bool {
    return switch (result) {
        numbers.CUDA_ERROR_ECC_UNCORRECTABLE,
        numbers.CUDA_ERROR_NVLINK_UNCORRECTABLE,
        numbers.CUDA_ERROR_CONTAINED,
        numbers.CUDA_ERROR_ILLEGAL_ADDRESS,
        numbers.CUDA_ERROR_LAUNCH_TIMEOUT,
        numbers.CUDA_ERROR_ASSERT,
        numbers.CUDA_ERROR_HARDWARE_STACK_ERROR,
        numbers.CUDA_ERROR_ILLEGAL_INSTRUCTION,
        numbers.CUDA_ERROR_MISALIGNED_ADDRESS,
        numbers.CUDA_ERROR_INVALID_ADDRESS_SPACE,
        numbers.CUDA_ERROR_INVALID_PC,
        numbers.CUDA_ERROR_LAUNCH_FAILED,
        numbers.CUDA_ERROR_TENSOR_MEMORY_LEAK,
        => true,
        else => false,
    };
}

/// Versions of the names are those of CUDA 12 and 13.
pub const Functions = struct {
    cuInit: *const fn (c_uint) callconv(.c) Result,
    cuDriverGetVersion: *const fn (*c_int) callconv(.c) Result,
    cuDeviceGetCount: *const fn (*c_int) callconv(.c) Result,
    cuDeviceGet: *const fn (*c_int, c_int) callconv(.c) Result,
    cuDeviceGetName: *const fn ([*]u8, c_int, c_int) callconv(.c) Result,
    cuDeviceGetAttribute: *const fn (*c_int, c_int, c_int) callconv(.c) Result,
    cuDevicePrimaryCtxRetain: *const fn (*Handle, c_int) callconv(.c) Result,
    cuDevicePrimaryCtxRelease_v2: *const fn (c_int) callconv(.c) Result,
    cuCtxSetCurrent: *const fn (Handle) callconv(.c) Result,
    cuMemGetInfo_v2: *const fn (*usize, *usize) callconv(.c) Result,
    cuMemAlloc_v2: *const fn (*Address, usize) callconv(.c) Result,
    cuMemFree_v2: *const fn (Address) callconv(.c) Result,
    cuMemHostAlloc: *const fn (*Handle, usize, c_uint) callconv(.c) Result,
    cuMemHostGetDevicePointer_v2: *const fn (*Address, Handle, c_uint) callconv(.c) Result,
    cuMemFreeHost: *const fn (Handle) callconv(.c) Result,
    cuMemcpyHtoDAsync_v2: *const fn (Address, Handle, usize, Handle) callconv(.c) Result,
    cuMemcpyDtoHAsync_v2: *const fn (Handle, Address, usize, Handle) callconv(.c) Result,
    cuMemcpyDtoDAsync_v2: *const fn (Address, Address, usize, Handle) callconv(.c) Result,
    cuMemsetD8Async: *const fn (Address, u8, usize, Handle) callconv(.c) Result,
    cuStreamCreate: *const fn (*Handle, c_uint) callconv(.c) Result,
    cuStreamDestroy_v2: *const fn (Handle) callconv(.c) Result,
    cuStreamSynchronize: *const fn (Handle) callconv(.c) Result,
    cuStreamWaitEvent: *const fn (Handle, Handle, c_uint) callconv(.c) Result,
    cuStreamBeginCapture_v2: *const fn (Handle, c_int) callconv(.c) Result,
    cuStreamEndCapture: *const fn (Handle, *Handle) callconv(.c) Result,
    cuGraphInstantiateWithFlags: *const fn (*Handle, Handle, c_ulonglong) callconv(.c) Result,
    cuGraphLaunch: *const fn (Handle, Handle) callconv(.c) Result,
    cuGraphDestroy: *const fn (Handle) callconv(.c) Result,
    cuGraphExecDestroy: *const fn (Handle) callconv(.c) Result,
    cuEventCreate: *const fn (*Handle, c_uint) callconv(.c) Result,
    cuEventDestroy_v2: *const fn (Handle) callconv(.c) Result,
    cuEventRecord: *const fn (Handle, Handle) callconv(.c) Result,
    cuEventQuery: *const fn (Handle) callconv(.c) Result,
    cuEventSynchronize: *const fn (Handle) callconv(.c) Result,
    cuEventElapsedTime: *const fn (*f32, Handle, Handle) callconv(.c) Result,
    cuModuleLoadData: *const fn (*Handle, *const anyopaque) callconv(.c) Result,
    cuModuleUnload: *const fn (Handle) callconv(.c) Result,
    cuModuleGetFunction: *const fn (*Handle, Handle, [*:0]const u8) callconv(.c) Result,
    cuFuncSetAttribute: *const fn (Handle, c_int, c_int) callconv(.c) Result,
    cuFuncLoad: *const fn (Handle) callconv(.c) Result,
    cuLaunchKernel: *const fn (
        Handle,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        Handle,
        [*]const ?*const anyopaque,
        ?*anyopaque,
    ) callconv(.c) Result,
    cuGetErrorName: *const fn (Result, *?[*:0]const u8) callconv(.c) Result,
};

pub const Driver = struct {
    library: *anyopaque,
    call: Functions,
    /// As the driver counts: 13000 is CUDA 13.0.
    version: u32,
    /// The stand-in of tests/virtual_gpu, which brings its own kernels.
    is_virtual: bool,

    pub fn open(path: [:0]const u8) Error!Driver {
        // Once started it has threads of its own, so that it is never unloaded.
        const stays: std.c.RTLD = .{ .NOW = true, .NODELETE = true };
        const library = std.c.dlopen(path, stays) orelse return failure.raise(
            error.IoFailed,
            "no NVIDIA driver: {s} cannot be opened ({s}); install driver {s} or newer",
            .{ path, dlopen_problem(), driver_min },
        );
        errdefer _ = std.c.dlclose(library);
        var driver: Driver = .{
            .library = library,
            .call = undefined,
            .version = 0,
            .is_virtual = std.c.dlsym(library, "theseus_virtual_gpu") != null,
        };
        inline for (@typeInfo(Functions).@"struct".fields) |field| {
            const address = std.c.dlsym(library, field.name) orelse return failure.raise(
                error.Unsupported,
                "the NVIDIA driver {s} is too old: it has no {s}; install driver {s} or newer",
                .{ path, field.name, driver_min },
            );
            @field(driver.call, field.name) = @ptrCast(@alignCast(address));
        }
        try driver.read_version(path);
        return driver;
    }

    fn read_version(driver: *Driver, path: []const u8) Error!void {
        var version: c_int = 0;
        try driver.check(driver.call.cuDriverGetVersion(&version), "the driver's version", .{});
        driver.version = @intCast(@max(0, version));
        if (version < version_min) return failure.raise(
            error.Unsupported,
            "the NVIDIA driver {s} serves CUDA {d}.{d}, CUDA {d}.{d} is needed: install driver {s} or newer",
            .{
                path,
                @divTrunc(version, 1000),
                @divTrunc(@mod(version, 1000), 10),
                version_min / 1000,
                version_min % 1000 / 10,
                driver_min,
            },
        );
        try driver.check(driver.call.cuInit(0), "the NVIDIA driver does not start", .{});
    }

    pub fn close(driver: *const Driver) void {
        _ = std.c.dlclose(driver.library);
    }

    /// Turns a driver's result into an error that says what was being done.
    pub fn check(
        driver: *const Driver,
        result: Result,
        comptime what: []const u8,
        args: anytype,
    ) Error!void {
        if (result == success) return;
        var name: ?[*:0]const u8 = null;
        _ = driver.call.cuGetErrorName(result, &name);
        const text = if (name) |found| std.mem.span(found) else "unknown error";
        const all = args ++ .{ text, result, advice(result) };
        if (result == no_device) return failure.raise(
            error.Unsupported,
            "the NVIDIA driver shows no GPU: there is none, or CUDA_VISIBLE_DEVICES hides it",
            .{},
        );
        if (result == out_of_memory)
            return failure.raise(error.OutOfMemory, what ++ ": {s} ({d}){s}", all);
        return failure.raise(error.KernelFailed, what ++ ": {s} ({d}){s}", all);
    }
};

fn dlopen_problem() []const u8 {
    return if (std.c.dlerror()) |text| std.mem.span(text) else "unknown reason";
}
