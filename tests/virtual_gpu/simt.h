/// Runs the kernels of cuda/ on the host: the blocks of a launch in a loop, every thread of a block a fiber, so that
/// barriers and warp shuffles mean what they mean on a GPU. Seeds shuffle the order of threads; an odd seed runs each warp
/// greedily up to a barrier, which shows missing barriers that lockstep hides; blocks come in another order with each. Shared memory
/// starts as NaN in every block and ends at an inaccessible page.
#pragma once
#include <math.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "async_copy.h"
#include "thread_products.h"

#define __global__
#define __device__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define SHARED(T, name) T* name = reinterpret_cast<T*>(simt::block.shared)
#define REGISTER_KERNEL(name, threads) static simt::Kernel registered_##name(#name, name, threads);

/// Saves the stack pointer to the first argument and goes on at the second.
asm(".text\n.globl simt_switch\n.hidden simt_switch\nsimt_switch:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\nmov %rsp,(%rdi)\nmov %rsi,%rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n");

struct Task;
struct Fault;

struct dim3 {
    unsigned x, y, z;
};

namespace simt {

typedef void (*Entry)(const Task*, Fault*, uint64_t* begun, uint64_t mark);

/// What a launch may ask for until cuFuncSetAttribute allows more.
const unsigned shared_default = 48 << 10;

/// Kernels by name, as a module of the driver has them.
struct Kernel {
    const char* name;
    Entry entry;
    /// Of __launch_bounds__: a larger block does not start.
    unsigned threads, shared_max;
    /// Its code is in the module's memory.
    bool loaded;
    Kernel* next;
    static inline Kernel* first;
    Kernel(const char* name, Entry entry, unsigned threads)
        : name(name), entry(entry), threads(threads), shared_max(shared_default), loaded(false), next(first) {
        first = this;
    }
};

enum State { READY, AT_BARRIER, IN_WARP, DONE };

const int threads_max = 1024, warps_max = threads_max / 32;
/// No power of two: stacks that lie on the same lines of a cache would throw each other out of it.
const size_t stack_bytes = (16 << 10) + 5 * 64;

struct Fiber {
    void* stack;
    dim3 thread;
    int id;
    State state;
    /// Shuffles so far: they take turns between two sets of lanes, so that one barrier each is enough.
    unsigned shuffles;
    AsyncCopies copies;
    ThreadProducts products;
};

/// What the lanes of a warp meet for.
enum Meeting { SYNC, SHUFFLE, MATRIX_PRODUCT, MATRIX_LOAD, WGMMA, WGMMA_FENCE, WGMMA_COMMIT, WGMMA_WAIT };

struct Block {
    dim3 index, threads, grid;
    unsigned char* shared;
    size_t shared_bytes;
    int count, live, waiting;
    void* scheduler;
    unsigned arrived[warps_max];
    Meeting meeting[warps_max];
    /// What each lane brings to the meeting; it lies on the lane's stack.
    void* brought[warps_max][32];
    /// What each lane of a warp shows to the others.
    uint64_t lanes[warps_max][2][32];
    Fiber fibers[threads_max];
    int order[threads_max];
    Entry entry;
    const Task* task;
    Fault* fault;
    uint64_t* begun;
};

inline Block block;
inline Fiber* current;
inline unsigned char* stacks;

extern "C" void simt_switch(void** from, void* to);

inline void pause(State state) {
    current->state = state;
    simt_switch(&current->stack, block.scheduler);
}

inline void release_barrier() {
    block.waiting = 0;
    for (int i = 0; i < block.count; i++)
        if (block.fibers[i].state == AT_BARRIER) block.fibers[i].state = READY;
}

inline void sync_block() {
    if (++block.waiting == block.live) release_barrier();
    else pause(AT_BARRIER);
}

/// Full warps only: every lane must come, and for the same thing. The last one does `work` for all.
template <class Work> void meet(Meeting what, void* brings, Work work) {
    int warp = current->id / 32, lane = current->id % 32;
    if (block.arrived[warp] == 0) block.meeting[warp] = what;
    else if (block.meeting[warp] != what) stop("lanes of a warp are at different instructions that need all of them");
    block.brought[warp][lane] = brings;
    block.arrived[warp] |= 1u << lane;
    if (block.arrived[warp] != 0xffffffffu) return pause(IN_WARP);
    block.arrived[warp] = 0;
    work(block.brought[warp]);
    for (int i = 0; i < 32; i++) block.fibers[warp * 32 + i].state = READY;
}

inline void sync_warp() { meet(SYNC, 0, [](void**) {}); }

/// Kernels here name all lanes: a GPU does not wait for one that is left out.
inline void expect_all(unsigned mask) {
    if (mask != 0xffffffffu) stop("an instruction for some lanes of a warp alone");
}

template <class T> T shuffle_xor(T value, int mask) {
    uint64_t* lanes = block.lanes[current->id / 32][current->shuffles++ % 2];
    memcpy(&lanes[current->id % 32], &value, sizeof value);
    meet(SHUFFLE, 0, [](void**) {});
    T other;
    memcpy(&other, &lanes[(current->id ^ mask) % 32], sizeof other);
    return other;
}

inline void run_fiber() {
    block.entry(block.task, block.fault, block.begun, (uint64_t)block.task);
    if (current->copies.count > 0) stop("a thread ends before it has waited for its cp.async");
    if (current->products.are_pending()) stop("a thread ends before it has waited for its wgmma");
    block.live--;
    if (block.waiting > 0 && block.waiting == block.live) release_barrier();
    pause(DONE);
    abort();
}

inline void start_fiber(int i) {
    Fiber& f = block.fibers[i];
    unsigned x = block.threads.x, y = block.threads.y;
    f.id = i;
    f.state = READY;
    f.shuffles = 0;
    f.copies.clear();
    f.products.clear();
    f.thread = {(unsigned)i % x, (unsigned)i / x % y, (unsigned)i / x / y};
    // The entry finds the stack as a call would leave it; six saved registers lie below its address.
    void** top = (void**)(stacks + (i + 1) * stack_bytes) - 1;
    *--top = (void*)run_fiber;
    for (int k = 0; k < 6; k++) *--top = 0;
    f.stack = top;
}

inline uint64_t next_random(uint64_t* state) {
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return *state >> 33;
}

/// Order in which threads get their turns; grouped by warp when they are to run greedily.
inline void shuffle_order(uint64_t seed, bool greedy) {
    int n = block.count, warps = (n + 31) / 32;
    uint64_t state = seed;
    int warp_order[warps_max], lane_order[32], at = 0;
    for (int w = 0; w < warps; w++) warp_order[w] = w;
    for (int i = 0; i < 32; i++) lane_order[i] = i;
    for (int w = warps - 1; seed && w > 0; w--) {
        int other = (int)(next_random(&state) % (w + 1)), kept = warp_order[w];
        warp_order[w] = warp_order[other];
        warp_order[other] = kept;
    }
    for (int i = 31; seed && i > 0; i--) {
        int other = (int)(next_random(&state) % (i + 1)), kept = lane_order[i];
        lane_order[i] = lane_order[other];
        lane_order[other] = kept;
    }
    for (int outer = 0; outer < (greedy ? warps : 32); outer++)
        for (int inner = 0; inner < (greedy ? 32 : warps); inner++) {
            int w = warp_order[greedy ? outer : inner], lane = lane_order[greedy ? inner : outer];
            if (w * 32 + lane < n) block.order[at++] = w * 32 + lane;
        }
}

inline bool turn(int from, int to) {
    bool any = false;
    for (int i = from; i < to; i++) {
        Fiber& f = block.fibers[block.order[i]];
        if (f.state != READY) continue;
        any = true;
        current = &f;
        simt_switch(&block.scheduler, f.stack);
    }
    return any;
}

inline void run_block(bool greedy) {
    block.live = block.count;
    block.waiting = 0;
    memset(block.arrived, 0, sizeof block.arrived);
    for (int i = 0; i < block.count; i++) start_fiber(i);
    while (block.live > 0) {
        bool any = false;
        if (!greedy) any = turn(0, block.count);
        else for (int i = 0; i < block.count; i += 32) {
            int end = i + 32 < block.count ? i + 32 : block.count;
            while (turn(i, end)) any = true;
        }
        if (any || block.live == 0) continue;
        fprintf(stderr, "virtual GPU: deadlock, %d of %d threads wait for others\n", block.live, block.count);
        abort();
    }
}

/// What -fsanitize-trap of build.zig ends the process with.
inline void stop_undefined(int) {
    const char problem[] = "virtual GPU: an access that is not aligned or outside an array, or a shift, division or "
                           "conversion out of range\n";
    if (write(2, problem, sizeof problem - 1) > 0) abort();
    abort();
}

/// Blocks run in another order with every seed, for a GPU promises none: from some block on, so many at a time.
inline uint64_t stride_of(uint64_t blocks, uint64_t seed) {
    uint64_t state = seed, stride = seed ? 1 + next_random(&state) % blocks : 1;
    for (;; stride++) {
        uint64_t a = blocks, b = stride;
        while (b != 0) {
            uint64_t rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1) return stride;
    }
}

inline void launch(Entry entry, dim3 grid, dim3 threads, size_t shared_bytes, const Task* task, Fault* fault,
                   uint64_t* begun, uint64_t seed) {
    static unsigned char* shared_end;
    if (!stacks) {
        int access = PROT_READ | PROT_WRITE, kind = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        stacks = (unsigned char*)mmap(0, stack_bytes * threads_max, access, kind, -1, 0);
        const size_t page = 4096, whole = (shared_most + page - 1) / page * page;
        signal(SIGILL, stop_undefined);
        shared_end = (unsigned char*)mmap(0, whole + page, access, kind, -1, 0) + whole;
        mprotect(shared_end, page, PROT_NONE);
    }
    shared_bytes = (shared_bytes + 127) / 128 * 128;
    bool greedy = seed & 1;
    block.grid = grid;
    block.threads = threads;
    block.count = threads.x * threads.y * threads.z;
    block.entry = entry;
    block.task = task;
    block.fault = fault;
    block.begun = begun;
    block.shared = shared_end - shared_bytes;
    block.shared_bytes = shared_bytes;
    shuffle_order(seed, greedy);
    const uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z, step = stride_of(blocks, seed);
    for (uint64_t i = 0, at = seed % blocks; i < blocks; i++, at = (at + step) % blocks) {
        memset(block.shared, 0xff, shared_bytes);
        async_view.begin(block.shared, shared_bytes);
        block.index = {(unsigned)(at % grid.x), (unsigned)(at / grid.x % grid.y), (unsigned)(at / grid.x / grid.y)};
        run_block(greedy);
    }
}

}  // namespace simt

#define threadIdx (simt::current->thread)
#define blockIdx (simt::block.index)
#define blockDim (simt::block.threads)
#define gridDim (simt::block.grid)
#define __syncthreads simt::sync_block
#define __syncwarp simt::sync_warp
#define __shfl_xor_sync(mask, value, distance) (simt::expect_all(mask), simt::shuffle_xor(value, distance))

#include "warp_simt.h"

inline unsigned long long atomicCAS(unsigned long long* at, unsigned long long expected, unsigned long long value) {
    unsigned long long before = *at;
    if (before == expected) *at = value;
    return before;
}
inline unsigned long long atomicMin(unsigned long long* at, unsigned long long value) {
    unsigned long long before = *at;
    if (value < before) *at = value;
    return before;
}
