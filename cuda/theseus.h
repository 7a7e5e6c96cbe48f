/// What every kernel sees: a task (one launch of an instruction) with its operands in device memory, the device's fault
/// record, and helpers. The same sources run on a GPU (nvcc) and on the virtual GPU of tests/virtual_gpu (the host's C++
/// compiler and simt.h), so they use no C++ library, only dynamic shared memory, and never wait for another block.
#pragma once

#ifdef THESEUS_VIRTUAL_GPU
#include "simt.h"
#else
#include <math.h>
#include <stdint.h>
#define SHARED(T, name) \
    extern __shared__ __align__(1024) unsigned char dynamic_shared[]; \
    T* name = reinterpret_cast<T*>(dynamic_shared)
#define REGISTER_KERNEL(name, threads)
#endif

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t i32;
typedef int64_t i64;

#define DEV static __device__ __forceinline__

/// Threads of every block, and the warps that they make.
#define THREADS 256
#define WARPS (THREADS / 32)

/// As `Dtype` of zig/abi.zig.
enum Dtype { F32 = 0, BF16 = 1, I32 = 2, U32 = 3, BOOL = 4 };

/// As `Operand` of zig/abi.zig; `data` is a device address.
struct Operand {
    u8* data;
    u32 dims[8];
    u64 strides[8];
    u8 rank, dtype, output, reserved;
    u32 buffer;
};
static_assert(sizeof(Operand) == 112, "Operand has the layout of zig/abi.zig");

/// As `Task` of zig/cuda/task.zig.
struct Task {
    const Operand* operands;
    const u32* words;
    u32 operand_count, word_count;
    /// Which instruction of which loaded program: never 0.
    u64 place;
};

/// First failure of the device. `place` is 0 while all is well; `detail` orders positions: position << 33, then bit 32
/// when the value is negative, then the low 32 bits of the value.
struct Fault {
    u64 place;
    u64 detail;
};

/// Nothing runs after an instruction that failed. The answer is the same for all threads of a block: during a kernel
/// `place` only changes from 0 to the kernel's own.
DEV bool stopped(const Task* task, const Fault* fault) {
    u64 place = *(const volatile u64*)&fault->place;
    return place != 0 && place != task->place;
}

/// Tells the host which launch began last, should the GPU not survive it: see zig/cuda/witness.zig. One store that nobody waits
/// for. Blocks are lines of threads. `mark` is the address of the task, as a number: of a task whose own address was stored the
/// compiler no longer knows that what it points to is global memory, and many kernels need more registers.
DEV void note_begin(u64 mark, u64* begun) {
    bool is_first = (threadIdx.x | blockIdx.x | blockIdx.y | blockIdx.z) == 0;
    if (is_first && begun) *(volatile u64*)begun = mark;
}

#define DEFINE_KERNEL(name, threads, bounds) \
    static __device__ void name##_body(const Task& task, Fault* fault); \
    extern "C" __global__ void bounds name(const Task* task, Fault* fault, u64* begun, u64 mark) { \
        note_begin(mark, begun); \
        if (!stopped(task, fault)) name##_body(*task, fault); \
    } \
    REGISTER_KERNEL(name, threads) \
    static __device__ void name##_body(const Task& task, Fault* fault)

#define KERNEL(name) DEFINE_KERNEL(name, THREADS, __launch_bounds__(THREADS))
/// Of another size: blocks of `threads`, of which a multiprocessor is to hold `blocks` at once. THREADS, WARPS and what uses
/// them is not for such a kernel.
#define KERNEL_OF(name, threads, blocks) DEFINE_KERNEL(name, threads, __launch_bounds__(threads, blocks))

/// Reports data that is out of range; the kernel goes on without touching the memory in question.
DEV void fail(const Task& task, Fault* fault, u64 position, i64 value) {
    unsigned long long* place = (unsigned long long*)&fault->place;
    u64 before = atomicCAS(place, 0ull, (unsigned long long)task.place);
    if (before != 0 && before != task.place) return;
    u64 detail = position << 33 | (u64)(value < 0) << 32 | (u32)value;
    atomicMin((unsigned long long*)&fault->detail, (unsigned long long)detail);
}

DEV u64 thread_index() { return (u64)blockIdx.x * blockDim.x + threadIdx.x; }
DEV u64 thread_count() { return (u64)gridDim.x * blockDim.x; }

/// Division of 32 bits where the number allows it: one of 64 takes a hundred instructions.
DEV u64 divide(u64 x, u32 by) { return x >> 32 == 0 ? (u32)x / by : x / by; }

DEV u64 count_of(const Operand& o) {
    u64 n = 1;
    for (u32 d = 0; d < o.rank; d++) n *= o.dims[d];
    return n;
}
DEV u64 last_dim(const Operand& o) { return o.rank == 0 ? 1 : o.dims[o.rank - 1]; }
DEV u64 row_count(const Operand& o) { return count_of(o) / last_dim(o); }

/// Where element `index` (in row-major order of the dims) lies, in elements.
DEV u64 offset_of(const Operand& o, u64 index) {
    u64 at = 0;
    for (int d = o.rank - 1; d >= 0; d--) {
        at += index % o.dims[d] * o.strides[d];
        index /= o.dims[d];
    }
    return at;
}

DEV u32 bits_of(float x) {
    union { float f; u32 u; } both;
    both.f = x;
    return both.u;
}
DEV float float_of(u32 x) {
    union { float f; u32 u; } both;
    both.u = x;
    return both.f;
}
DEV double double_of(u32 low, u32 high) {
    union { double d; u64 u; } both;
    both.u = (u64)high << 32 | low;
    return both.d;
}

/// To nearest even; NaN stays NaN.
DEV u16 bf16_of(float x) {
    u32 bits = bits_of(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (u16)(bits >> 16 | 0x40);
    return (u16)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}
DEV float round_bf16(float x) { return float_of((u32)bf16_of(x) << 16); }

template <class T> DEV T* pointer(const Operand& o) { return reinterpret_cast<T*>(o.data); }

DEV float load_float(const Operand& o, u64 at) {
    if (o.dtype == BF16) return float_of((u32)pointer<u16>(o)[at] << 16);
    return pointer<float>(o)[at];
}
DEV void store_float(const Operand& o, u64 at, float x) {
    if (o.dtype == BF16) pointer<u16>(o)[at] = bf16_of(x);
    else pointer<float>(o)[at] = x;
}

DEV i64 load_index(const Operand& o, u64 at) {
    return o.dtype == I32 ? (i64)pointer<i32>(o)[at] : (i64)pointer<u32>(o)[at];
}

/// The class of a row, or -1 when the row is to be ignored; any other value outside the classes is a failure too.
DEV i64 load_target(const Task& task, Fault* fault, const Operand& o, u64 at, u64 row, u64 classes) {
    i64 value = load_index(o, at);
    if (value >= 0 && (u64)value < classes) return value;
    if (value != -1) fail(task, fault, row, value);
    return -1;
}

/// The larger; NaN if either is.
DEV float max_float(float a, float b) { return a != a ? a : a > b ? a : b; }
DEV float min_float(float a, float b) { return a != a ? a : a < b ? a : b; }

struct Add {
    template <class T> static __device__ __forceinline__ T join(T a, T b) { return a + b; }
};
struct Max {
    static __device__ __forceinline__ float join(float a, float b) { return max_float(a, b); }
    static __device__ __forceinline__ i32 join(i32 a, i32 b) { return a > b ? a : b; }
    static __device__ __forceinline__ u32 join(u32 a, u32 b) { return a > b ? a : b; }
};

DEV u32 lane() { return threadIdx.x % 32; }
/// Kernels over rows give each row to a warp.
DEV u64 warp_index() { return (u64)blockIdx.x * WARPS + threadIdx.x / 32; }
DEV u64 warp_count() { return (u64)gridDim.x * WARPS; }

/// Joins one value of each lane, in a fixed order; every lane gets the result. All lanes must call it.
template <class How, class T> static __device__ T warp_join(T value) {
    for (int distance = 16; distance > 0; distance /= 2)
        value = How::join(value, __shfl_xor_sync(0xffffffffu, value, distance));
    return value;
}
template <class T> static __device__ T warp_sum(T value) { return warp_join<Add>(value); }
template <class T> static __device__ T warp_max(T value) { return warp_join<Max>(value); }

/// Joins one value of each thread of the block, in a fixed order; every thread gets the result. `shared` holds WARPS
/// values and is free again afterwards. All threads of the block must call it.
template <class How, class T> static __device__ T block_join(T value, T* shared) {
    value = warp_join<How>(value);
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
    __syncthreads();
    T all = shared[0];
    for (u32 w = 1; w < WARPS; w++) all = How::join(all, shared[w]);
    __syncthreads();
    return all;
}
template <class T> static __device__ T block_sum(T value, T* shared) {
    return block_join<Add>(value, shared);
}
template <class T> static __device__ T block_max(T value, T* shared) {
    return block_join<Max>(value, shared);
}
