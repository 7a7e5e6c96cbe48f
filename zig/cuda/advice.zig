//! What to do about a result of the CUDA driver, where its name alone does not say it.
const std = @import("std");
const numbers = @import("numbers.zig");

/// To follow the name; empty where the name says it all.
pub fn advice(result: c_int) []const u8 {
    return switch (result) {
        numbers.CUDA_ERROR_STUB_LIBRARY,
        => "; this libcuda.so.1 is the toolkit's stub: install a driver, or take its folder off LD_LIBRARY_PATH",
        numbers.CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER,
        numbers.CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
        => "; the driver is too old for these kernels: install a newer one",
        numbers.CUDA_ERROR_DEVICE_UNAVAILABLE,
        => "; another process has this GPU for itself, or its compute mode forbids contexts: see nvidia-smi",
        numbers.CUDA_ERROR_NO_BINARY_FOR_GPU,
        numbers.CUDA_ERROR_INVALID_PTX,
        numbers.CUDA_ERROR_JIT_COMPILER_NOT_FOUND,
        numbers.CUDA_ERROR_JIT_COMPILATION_DISABLED,
        => "; the driver can neither run nor compile the kernels for this GPU",
        numbers.CUDA_ERROR_ECC_UNCORRECTABLE,
        => "; the GPU's memory has an error that could not be corrected: see nvidia-smi -q -d ECC",
        numbers.CUDA_ERROR_OPERATING_SYSTEM,
        numbers.CUDA_ERROR_UNKNOWN,
        => "; the driver's kernel module does not answer: nvidia-modprobe -u -c 0 loads it, else restart the machine",
        numbers.CUDA_ERROR_ILLEGAL_ADDRESS,
        numbers.CUDA_ERROR_HARDWARE_STACK_ERROR,
        numbers.CUDA_ERROR_ILLEGAL_INSTRUCTION,
        numbers.CUDA_ERROR_MISALIGNED_ADDRESS,
        numbers.CUDA_ERROR_INVALID_ADDRESS_SPACE,
        numbers.CUDA_ERROR_INVALID_PC,
        numbers.CUDA_ERROR_LAUNCH_FAILED,
        => "; a kernel is at fault, and this process cannot use the GPU any more",
        numbers.CUDA_ERROR_SYSTEM_NOT_READY,
        => "; the GPUs' switches are not up: nvidia-fabricmanager must run on this machine",
        numbers.CUDA_ERROR_SYSTEM_DRIVER_MISMATCH,
        => "; libcuda.so.1 and the kernel module are of different versions: restart the machine, or repair the container",
        numbers.CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE,
        => "; this GPU does not take the compatibility libraries: remove cuda-compat from LD_LIBRARY_PATH",
        numbers.CUDA_ERROR_MPS_CONNECTION_FAILED,
        numbers.CUDA_ERROR_MPS_RPC_FAILURE,
        numbers.CUDA_ERROR_MPS_SERVER_NOT_READY,
        numbers.CUDA_ERROR_MPS_MAX_CLIENTS_REACHED,
        numbers.CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED,
        numbers.CUDA_ERROR_MPS_CLIENT_TERMINATED,
        => "; the MPS server has no place for this process",
        else => "",
    };
}

test "advice follows a name" {
    const mismatch = advice(numbers.CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
    try std.testing.expect(std.mem.startsWith(u8, mismatch, "; libcuda.so.1 and"));
    try std.testing.expectEqualStrings("", advice(numbers.CUDA_ERROR_OUT_OF_MEMORY));
}
