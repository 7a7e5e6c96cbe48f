//! cuBLASLt, opened at run time like the driver. Numbers and sizes are those of cublasLt.h of CUDA 13.0 (see numbers.zig); a test
//! sets every attribute on the real library's descriptors where it is installed, which needs no GPU.
const std = @import("std");
const failure = @import("../failure.zig");
const numbers = @import("numbers.zig");

const Error = failure.Error;
pub const Handle = ?*anyopaque;
pub const Status = c_int;

pub const name = "libcublasLt.so.13";

pub const success: Status = numbers.CUBLAS_STATUS_SUCCESS;
pub const compute_f32: c_int = numbers.CUBLAS_COMPUTE_32F;

pub const Type = enum(u32) { f32 = numbers.CUDA_R_32F, bf16 = numbers.CUDA_R_16BF };

pub const LayoutAttribute = enum(c_int) {
    batch_count = numbers.CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
    batch_stride = numbers.CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
};

pub const DescriptorAttribute = enum(c_int) {
    transpose_a = numbers.CUBLASLT_MATMUL_DESC_TRANSA,
    transpose_b = numbers.CUBLASLT_MATMUL_DESC_TRANSB,
    epilogue = numbers.CUBLASLT_MATMUL_DESC_EPILOGUE,
    bias_pointer = numbers.CUBLASLT_MATMUL_DESC_BIAS_POINTER,
    aux_pointer = numbers.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER,
    aux_leading = numbers.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD,
    aux_batch_stride = numbers.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE,
};

pub const PreferenceAttribute = enum(c_int) {
    workspace_bytes = numbers.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
    reduction_schemes = numbers.CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
    alignment_a = numbers.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
    alignment_b = numbers.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
    alignment_c = numbers.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
    alignment_d = numbers.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
};

/// Partial sums in f32, added in a step of their own. The other schemes may keep them in the result's dtype.
pub const reduction_in_f32: u32 = numbers.CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
pub const reduction_any: u32 = numbers.CUBLASLT_REDUCTION_SCHEME_MASK;

/// Of an algorithm: D need not be C.
pub const cap_out_of_place: c_int = numbers.CUBLASLT_ALGO_CAP_OUT_OF_PLACE_RESULT_SUPPORT;

pub const Epilogue = struct {
    pub const none: u32 = numbers.CUBLASLT_EPILOGUE_DEFAULT;
    pub const bias: u32 = numbers.CUBLASLT_EPILOGUE_BIAS;
    pub const gelu: u32 = numbers.CUBLASLT_EPILOGUE_GELU;
    pub const gelu_grad: u32 = numbers.CUBLASLT_EPILOGUE_DGELU;
    /// Keeps the value before the activation.
    pub const aux: u32 = numbers.CUBLASLT_EPILOGUE_GELU_AUX & ~gelu;
    /// Sums of the library's A over the depth, in the dtype of the result, in the bias's place.
    pub const sums_a: u32 = numbers.CUBLASLT_EPILOGUE_BGRADA;
};

pub const Algorithm = extern struct { data: [8]u64 };

pub const Heuristic = extern struct {
    algorithm: Algorithm,
    workspace_bytes: usize,
    state: Status,
    waves: f32,
    reserved: [4]c_int,
};

comptime {
    std.debug.assert(@sizeOf(Algorithm) == 64 and @sizeOf(Heuristic) == 96);
}

pub const Functions = struct {
    cublasLtGetVersion: *const fn () callconv(.c) usize,
    cublasLtGetStatusName: *const fn (Status) callconv(.c) ?[*:0]const u8,
    cublasLtCreate: *const fn (*Handle) callconv(.c) Status,
    cublasLtDestroy: *const fn (Handle) callconv(.c) Status,
    cublasLtMatmulDescCreate: *const fn (*Handle, c_int, c_int) callconv(.c) Status,
    cublasLtMatmulDescDestroy: *const fn (Handle) callconv(.c) Status,
    cublasLtMatmulDescSetAttribute: Set,
    cublasLtMatrixLayoutCreate: *const fn (*Handle, c_int, u64, u64, i64) callconv(.c) Status,
    cublasLtMatrixLayoutDestroy: *const fn (Handle) callconv(.c) Status,
    cublasLtMatrixLayoutSetAttribute: Set,
    cublasLtMatmulPreferenceCreate: *const fn (*Handle) callconv(.c) Status,
    cublasLtMatmulPreferenceDestroy: *const fn (Handle) callconv(.c) Status,
    cublasLtMatmulPreferenceSetAttribute: Set,
    cublasLtMatmulAlgoGetHeuristic: *const fn (
        Handle,
        Handle,
        Handle,
        Handle,
        Handle,
        Handle,
        Handle,
        c_int,
        [*]Heuristic,
        *c_int,
    ) callconv(.c) Status,
    cublasLtMatmulAlgoCapGetAttribute: *const fn (
        *const Algorithm,
        c_int,
        *anyopaque,
        usize,
        *usize,
    ) callconv(.c) Status,
    cublasLtMatmulAlgoCheck: *const fn (
        Handle,
        Handle,
        Handle,
        Handle,
        Handle,
        Handle,
        *const Algorithm,
        *Heuristic,
    ) callconv(.c) Status,
    cublasLtMatmul: *const fn (
        Handle,
        Handle,
        *const f32,
        u64,
        Handle,
        u64,
        Handle,
        *const f32,
        u64,
        Handle,
        u64,
        Handle,
        *const Algorithm,
        u64,
        usize,
        Handle,
    ) callconv(.c) Status,

    const Set = *const fn (Handle, c_int, *const anyopaque, usize) callconv(.c) Status;
};

pub const CublasLt = struct {
    library: *anyopaque,
    call: Functions,
    handle: Handle,
    /// As the library counts: 130002 is 13.0.2.
    version: u32,
    path_buffer: [512]u8 = @splat(0),

    /// `folders`: where to look, in order, separated by newlines; an empty one is the linker's own search. The context of the
    /// GPU must be current. Real and virtual GPUs take only their own kind.
    pub fn open(folders: []const u8, is_virtual: bool) Error!CublasLt {
        var reason: [200]u8 = undefined;
        var said: []const u8 = "";
        var each = std.mem.splitScalar(u8, folders, '\n');
        while (each.next()) |folder| {
            var buffer: [512:0]u8 = undefined;
            const path = std.fmt.bufPrintZ(&buffer, "{s}{s}{s}", .{
                folder,
                if (folder.len > 0) "/" else "",
                name,
            }) catch continue;
            // It leaves code and state in the context, and is never unloaded.
            const library = std.c.dlopen(path, .{ .NOW = true, .NODELETE = true }) orelse {
                // A library that is not there is no reason; one that is there and does not open is.
                const text = if (std.c.dlerror()) |found| std.mem.span(found) else "unknown reason";
                if (said.len == 0 and std.mem.indexOf(u8, text, "No such file") == null)
                    said = std.fmt.bufPrint(&reason, " ({s})", .{text[0..@min(text.len, 190)]}) catch "";
                continue;
            };
            const virtual = std.c.dlsym(library, "theseus_virtual_gpu") != null;
            if (virtual == is_virtual) return start(library, path);
            _ = std.c.dlclose(library);
        }
        return failure.raise(
            error.Unsupported,
            "no cuBLASLt: {s} was not found{s}; install CUDA 13 or the Python package nvidia-cublas, " ++
                "or set THESEUS_CUDA_LIBRARIES to its folder",
            .{ name, said },
        );
    }

    fn start(library: *anyopaque, path: []const u8) Error!CublasLt {
        errdefer _ = std.c.dlclose(library);
        var lt = try bind(library, path);
        try lt.check(lt.call.cublasLtCreate(&lt.handle), "cuBLASLt does not start", .{});
        return lt;
    }

    /// The functions of a library; what describes matrices can be used without a GPU.
    pub fn bind(library: *anyopaque, path: []const u8) Error!CublasLt {
        var lt: CublasLt = .{ .library = library, .call = undefined, .handle = null, .version = 0 };
        @memcpy(lt.path_buffer[0..path.len], path);
        inline for (@typeInfo(Functions).@"struct".fields) |field| {
            const address = std.c.dlsym(library, field.name) orelse return failure.raise(
                error.Unsupported,
                "cuBLASLt {s} has no {s}; install the one of CUDA 13",
                .{ path, field.name },
            );
            @field(lt.call, field.name) = @ptrCast(@alignCast(address));
        }
        lt.version = @intCast(@min(std.math.maxInt(u32), lt.call.cublasLtGetVersion()));
        return lt;
    }

    pub fn close(lt: *const CublasLt) void {
        _ = lt.call.cublasLtDestroy(lt.handle);
        _ = std.c.dlclose(lt.library);
    }

    pub fn path_text(lt: *const CublasLt) []const u8 {
        return std.mem.sliceTo(&lt.path_buffer, 0);
    }

    /// Turns a status into an error that says what was being done.
    pub fn check(
        lt: *const CublasLt,
        status: Status,
        comptime what: []const u8,
        args: anytype,
    ) Error!void {
        if (status == success) return;
        const found = lt.call.cublasLtGetStatusName(status);
        const text = if (found) |name_of| std.mem.span(name_of) else "unknown status";
        return failure.raise(error.KernelFailed, what ++ ": {s} ({d})", args ++ .{ text, status });
    }
};
