/// Proves that the virtual GPU sees mistakes: small kernels, right and wrong, run by name under many schedules of threads. Prints
/// how many schedules gave the right result; what a GPU would not allow ends the process with a message.
///   emulation KERNEL          emulation limits LIBRARY   (what the stand-in for the driver accepts)
#include "../../cuda/tensor_core.h"
#include "emulation_wgmma.h"

#include <dlfcn.h>

const u32 threads = 128, seeds = 16, blocks = 6;

/// "Device memory" of the kernels here.
static u16 left[16 * 16] __attribute__((aligned(16))), right[16 * 8] __attribute__((aligned(16)));
static u32 words[4 * threads] __attribute__((aligned(16)));
static float product[16 * 8];
static u32 sums[threads];

/// Row-major A, and B once by columns and once by rows: all ways to load a fragment.
static void multiply(bool rows_of_b) {
    SHARED(u16, shared);
    u16 *a = shared, *b = shared + 256;
    for (u32 chunk = lane(); chunk < 48; chunk += 32) {
        const u16* from = chunk < 32 ? left + chunk * 8 : right + (chunk - 32) * 8;
        copy_async16(shared_address(shared + chunk * 8), from, true);
    }
    copy_commit();
    copy_wait<0>();
    __syncwarp();
    u32 fragment[4], both[2], l = lane();
    load_matrices(fragment, shared_address(a + (l % 16) * 16 + l / 16 * 8));
    if (rows_of_b) load_transposed(both, shared_address(b + l % 16 * 8));
    else load_matrices(both, shared_address(b + l % 8 * 16 + l / 8 % 2 * 8));
    float c[4] = {};
    mma_bf16(c, fragment, both[0], both[1]);
    for (u32 i = 0; i < 4; i++) product[(l / 4 + i / 2 * 8) * 8 + l % 4 * 2 + i % 2] = c[i];
}
KERNEL_OF(product_by_columns, 32, 1) { multiply(false); }
KERNEL_OF(product_by_rows, 32, 1) { multiply(true); }

/// Every thread brings 16 bytes to shared memory and adds up what another warp's thread has brought, in two rounds.
static void exchange(bool waits, bool first_barrier, bool second_barrier) {
    SHARED(u32, shared);
    u32 other = (threadIdx.x + 32) % threads, sum = 0;
    for (u32 round = 0; round < 2; round++) {
        const u32* from = words + (threadIdx.x + round) % threads * 4;
        copy_async16(shared_address(shared + threadIdx.x * 4), from, true);
        copy_commit();
        if (waits) copy_wait<0>();
        if (first_barrier) __syncthreads();
        for (u32 i = 0; i < 4; i++) sum += shared[other * 4 + i];
        if (second_barrier) __syncthreads();
    }
    copy_wait<0>();
    sums[threadIdx.x] = sum;
}
KERNEL_OF(exchange_right, threads, 1) { exchange(true, true, true); }
KERNEL_OF(exchange_without_wait, threads, 1) { exchange(false, true, true); }
KERNEL_OF(exchange_without_first_barrier, threads, 1) { exchange(true, false, true); }
KERNEL_OF(exchange_without_second_barrier, threads, 1) { exchange(true, true, false); }

KERNEL_OF(never_waits, 32, 1) {
    SHARED(u32, shared);
    copy_async16(shared_address(shared), words, true);
}
KERNEL_OF(unaligned_matrix, 32, 1) {
    SHARED(u16, shared);
    u32 to[4];
    load_matrices(to, shared_address(shared + 4));
}
KERNEL_OF(unaligned_copy, 32, 1) {
    SHARED(u16, shared);
    copy_async16(shared_address(shared), left + 4, true);
}
KERNEL_OF(unaligned_load, 32, 1) { sums[0] = load_words4(words + 1).w[0]; }
KERNEL_OF(unaligned_store, 32, 1) { store_words2(words + 1, {}); }
KERNEL_OF(matrix_outside, 32, 1) {
    SHARED(u16, shared);
    u32 to[4];
    load_matrices(to, shared_address(shared) + 4096);
}
KERNEL_OF(write_outside, 32, 1) {
    SHARED(u32, shared);
    shared[1024 + threadIdx.x] = 0;
}
KERNEL_OF(half_a_warp, 32, 1) {
    u32 a[4] = {};
    float c[4] = {};
    if (lane() < 16) mma_bf16(c, a, 0, 0);
}
KERNEL_OF(split_warp, 32, 1) {
    u32 a[4] = {};
    float c[4] = {};
    if (lane() < 16) mma_bf16(c, a, 0, 0);
    else __syncwarp();
}

KERNEL_OF(some_lanes, 32, 1) { sums[lane()] = __shfl_xor_sync(0xffffu, lane(), 1); }

/// What no instruction of tensor_core.h sees: the compiler's own accesses, and what C++ leaves undefined.
KERNEL_OF(unaligned_scalar, 32, 1) { reinterpret_cast<float*>(reinterpret_cast<u8*>(words) + lane() / 32 + 2)[0] = 1; }
KERNEL_OF(outside_array, 32, 1) {
    u32 few[3] = {1, 2, 3};
    sums[0] = few[sums[1] & 3];
}
KERNEL_OF(wide_shift, 32, 1) { sums[0] = 1u << (sums[1] & 32); }
KERNEL_OF(wide_conversion, 32, 1) { sums[0] = (u32)((float)sums[1] * 8.0f); }

/// Blocks that need those before them to be done.
KERNEL_OF(blocks_in_order, 32, 1) {
    if (lane() == 0) sums[blockIdx.x] = blockIdx.x == 0 ? 1 : sums[blockIdx.x - 1] + 1;
}
KERNEL_OF(blocks_apart, 32, 1) {
    if (lane() == 0) sums[blockIdx.x] = blockIdx.x + 1;
}

static bool is_right(const char* name) {
    if (strncmp(name, "wgmma", 5) == 0) return is_wide_right(strncmp(name, "wgmma_64", 8) == 0 ? 64 : 128);
    if (strncmp(name, "blocks", 6) == 0) {
        for (u32 block = 0; block < blocks; block++)
            if (sums[block] != block + 1) return false;
        return true;
    }
    if (strncmp(name, "exchange", 8) == 0) {
        for (u32 thread = 0; thread < threads; thread++) {
            u32 expected = 0;
            for (u32 i = 0; i < 8; i++) expected += words[(thread + 32 + i / 4) % threads * 4 + i % 4];
            if (sums[thread] != expected) return false;
        }
        return true;
    }
    bool by_rows = strcmp(name, "product_by_rows") == 0;
    for (u32 m = 0; m < 16; m++)
        for (u32 n = 0; n < 8; n++) {
            float sum = 0;
            for (u32 k = 0; k < 16; k++)
                sum += low_bf16(left[m * 16 + k]) * low_bf16(right[by_rows ? k * 8 + n : n * 16 + k]);
            if (product[m * 8 + n] != sum) return false;
        }
    return true;
}

static const simt::Kernel* find(const char* name) {
    for (const simt::Kernel* k = simt::Kernel::first; k; k = k->next)
        if (strcmp(k->name, name) == 0) return k;
    simt::stop("no such kernel");
}

static int run(const char* name) {
    // Small integers: their products are exact in any order.
    for (u32 i = 0; i < 256; i++) left[i] = bf16_of((float)((int)(i * 7 % 13) - 6));
    for (u32 i = 0; i < 128; i++) right[i] = bf16_of((float)((int)(i * 5 % 11) - 5));
    for (u32 i = 0; i < 4 * threads; i++) words[i] = i * i + 1;
    const simt::Kernel* kernel = find(name);
    const u32 shared_bytes = strncmp(name, "wgmma", 5) == 0 ? wgmma_shared : 4096;
    Task task = {};
    task.place = 1;
    Fault fault = {};
    u32 right_ones = 0;
    for (u32 seed = 0; seed < seeds; seed++) {
        memset(product, 0xff, sizeof product);
        memset(sums, 0xff, sizeof sums);
        fill_wide();
        u32 grid = strncmp(name, "blocks", 6) == 0 ? blocks : 1;
        simt::launch(kernel->entry, {grid, 1, 1}, {kernel->threads, 1, 1}, shared_bytes, &task, &fault, 0, seed);
        right_ones += is_right(name);
    }
    printf("%u of %u\n", right_ones, seeds);
    return 0;
}

/// Large shared memory has to be asked for first, blocks have at most the threads of the kernel, and grids have limits.
static int limits(const char* path) {
    void *library = dlopen(path, RTLD_NOW), *function = 0, *stream = 0;
    if (!library) simt::stop("the library does not open");
    auto find_function = (int (*)(void**, void*, const char*))dlsym(library, "cuModuleGetFunction");
    auto allow = (int (*)(void*, int, int))dlsym(library, "cuFuncSetAttribute");
    auto make_stream = (int (*)(void**, unsigned))dlsym(library, "cuStreamCreate");
    auto launch = (int (*)(void*, u32, u32, u32, u32, u32, u32, u32, void*, void**, void**))
        dlsym(library, "cuLaunchKernel");
    void* context = 0;
    ((int (*)(unsigned))dlsym(library, "cuInit"))(0);
    ((int (*)(void**, int))dlsym(library, "cuDevicePrimaryCtxRetain"))(&context, 0);
    ((int (*)(void*))dlsym(library, "cuCtxSetCurrent"))(context);
    find_function(&function, 0, "matmul");
    make_stream(&stream, 0);
    u64 null = 0;
    void* parameters[4] = {&null, &null, &null, &null};
    auto start = [&](u32 block, u32 shared) {
        return launch(function, 1, 1, 1, block, 1, 1, shared, stream, parameters, 0);
    };
    auto start_grid = [&](u32 x, u32 y, u32 z) {
        return launch(function, x, y, z, 256, 1, 1, 0, stream, parameters, 0);
    };
    const u32 kib = 1 << 10;
    printf("%d %d %d %d ", start_grid(0, 1, 1), start_grid(1u << 31, 1, 1), start_grid(1, 1 << 16, 1),
           start_grid(1, 1, 1 << 16));
    printf("%d %d\n", start_grid((1u << 31) - 1, 1, 1), start_grid(1, 65535, 65535));
    printf("%d %d %d ", start(256, 48 * kib), start(256, 49 * kib), start(288, 48 * kib));
    printf("%d %d %d\n", allow(function, 8, 228 * kib), allow(function, 8, 99 * kib), start(256, 99 * kib));
    return 0;
}

int main(int count, char** arguments) {
    if (count == 3 && strcmp(arguments[1], "limits") == 0) return limits(arguments[2]);
    return count == 2 ? run(arguments[1]) : 2;
}
