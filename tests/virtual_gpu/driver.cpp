/// A stand-in for libcuda.so.1: the driver functions that zig/cuda uses, over the kernels of cuda/ compiled for the host.
/// Work of a stream waits until somebody waits for it; device memory is unmapped for the host in between, starts as NaN and
/// ends at an inaccessible page. Faults come from the environment:
///   THESEUS_VGPU_DRIVER=12040   version of the driver      THESEUS_VGPU_FAIL_ALLOC=k    the k-th allocation fails
///   THESEUS_VGPU_DEVICES=n      how many devices           THESEUS_VGPU_FAIL_LAUNCH=k   the k-th kernel kills the GPU
///   THESEUS_VGPU_CAPABILITY=75  of the devices             THESEUS_VGPU_MEMORY=bytes    of a device
///   THESEUS_VGPU_SEED=s         other schedules of threads THESEUS_VGPU_TAKEN=bytes     held by other processes
///   THESEUS_VGPU_FAIL_HOST=k    the k-th piece of pinned memory is refused
///   THESEUS_VGPU_FAIL_PRODUCT=k the k-th product of cuBLASLt kills the GPU
///   THESEUS_VGPU_FAIL_INIT=803  what cuInit answers        THESEUS_VGPU_FAIL_CONTEXT=46 what the context's maker answers
/// As with a real one, nothing works before cuInit, and nothing of a context in a thread where none is current. Code is loaded when it
/// is first used, and never while a stream captures: a real driver may have to wait for the context then, so that this one refuses.
#include "../../cuda/theseus.cu"
#include "host_work.h"
#include "numbers.h"

#include <pthread.h>

#define NUMBER(name, value) name = value,
enum { NUMBERS_OF_CUDA(NUMBER) };
enum Result {
    SUCCESS = CUDA_SUCCESS, INVALID_VALUE = CUDA_ERROR_INVALID_VALUE, OUT_OF_MEMORY = CUDA_ERROR_OUT_OF_MEMORY,
    NO_DEVICE = CUDA_ERROR_NO_DEVICE, INVALID_DEVICE = CUDA_ERROR_INVALID_DEVICE, NOT_FOUND = CUDA_ERROR_NOT_FOUND,
    NOT_READY = CUDA_ERROR_NOT_READY, ILLEGAL_ADDRESS = CUDA_ERROR_ILLEGAL_ADDRESS,
    OUT_OF_RESOURCES = CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES,
    CAPTURE_UNSUPPORTED = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, ILLEGAL_STATE = CUDA_ERROR_ILLEGAL_STATE,
    CAPTURE_INVALIDATED = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
    NOT_INITIALIZED = CUDA_ERROR_NOT_INITIALIZED, INVALID_CONTEXT = CUDA_ERROR_INVALID_CONTEXT,
    INVALID_HANDLE = CUDA_ERROR_INVALID_HANDLE,
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
struct Locked {
    Locked() { pthread_mutex_lock(&lock); }
    ~Locked() { pthread_mutex_unlock(&lock); }
};

/// Settings that a test makes within the process go before those of the environment.
static struct { char name[40]; u64 value; } own_settings[16];

static u64 setting(const char* name, u64 otherwise) {
    for (auto& own : own_settings)
        if (strcmp(own.name, name) == 0) return own.value;
    const char* text = getenv(name);
    return text && *text ? strtoull(text, 0, 10) : otherwise;
}

// --- Contexts -------------------------------------------------------------------------------------------------------

static bool initialized;
/// Of the primary context; nobody's thread has it when none is left.
static u64 retained;
static thread_local bool current;

static bool has_context() { return current && retained > 0; }
/// At the start of every function that works in the current context.
#define IN_CONTEXT \
    if (!has_context()) return INVALID_CONTEXT

// --- Memory ---------------------------------------------------------------------------------------------------------

const u64 page = 4096;

struct Allocation {
    u8* base;
    u64 mapped, address, bytes;
    Allocation* next;
};
static Allocation* allocations;
static u64 allocated, allocation_count, launch_count, product_count, host_count, wait_count;
/// What was made and not given back.
static u64 live_allocations, live_host, live_streams, live_events, live_graphs, live_modules;
static int sticky;

static u64 memory_bytes() { return setting("THESEUS_VGPU_MEMORY", 4ull << 30); }
static u64 free_bytes() { return memory_bytes() - allocated - setting("THESEUS_VGPU_TAKEN", 0); }

/// Lets kernels and copies at the memory, or nobody.
static void open_memory(bool open) {
    for (Allocation* a = allocations; a; a = a->next)
        mprotect(a->base, a->mapped, open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

static Result allocate(u64* address, u64 bytes) {
    if (bytes == 0) return INVALID_VALUE;
    if (++allocation_count == setting("THESEUS_VGPU_FAIL_ALLOC", 0) || bytes > free_bytes())
        return OUT_OF_MEMORY;
    u64 used = (bytes + 255) / 256 * 256, mapped = (used + page - 1) / page * page;
    int kind = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    u8* whole = (u8*)mmap(0, mapped + 2 * page, PROT_NONE, kind, -1, 0);
    if (whole == MAP_FAILED) return OUT_OF_MEMORY;
    u8* base = whole + page;
    mprotect(base, mapped, PROT_READ | PROT_WRITE);
    memset(base, 0xff, mapped);
    mprotect(base, mapped, PROT_NONE);
    Allocation* a = (Allocation*)malloc(sizeof(Allocation));
    *a = {base, mapped, (u64)(base + mapped - used), bytes, allocations};
    allocations = a;
    allocated += bytes;
    live_allocations++;
    *address = a->address;
    return SUCCESS;
}

static Result release(u64 address) {
    for (Allocation** at = &allocations; *at; at = &(*at)->next) {
        Allocation* a = *at;
        if (a->address != address) continue;
        *at = a->next;
        allocated -= a->bytes;
        live_allocations--;
        munmap(a->base - page, a->mapped + 2 * page);
        free(a);
        return SUCCESS;
    }
    return INVALID_VALUE;
}

// --- Streams --------------------------------------------------------------------------------------------------------

struct Event {
    struct Stream* stream;
    /// Records that were asked for, and those that were reached.
    u64 asked, reached;
    double ms;
    bool untimed;
};

enum Kind { LAUNCH, COPY, SET, RECORD, WAIT, HOST };
struct Work {
    Kind kind;
    HostWork host;
    simt::Entry entry;
    dim3 grid, block;
    u64 shared, task, fault, begun;
    u8 *to, value;
    const u8* from;
    u64 bytes;
    Event* event;
    /// WAIT: for so many records.
    u64 records;
};

struct List {
    Work* items;
    u64 count, capacity;
};
struct Stream {
    List list;
    u64 done;
    /// What would become a graph, unless something was done that must not be done meanwhile.
    List captured;
    bool capturing, spoilt;
};
typedef List Graph;

static void append(List* list, const Work& work) {
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 64;
        list->items = (Work*)realloc((void*)list->items, list->capacity * sizeof(Work));
    }
    list->items[list->count++] = work;
}

static double now_ms() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void drain(Stream* s, u64 most);

/// What events show: kernels take as long as they take here. Copies take a time by their size, products what their stand-in says,
/// all else none, so that what is chosen by these times is the same on a busy machine.
static double clock_ms;

static void do_work(const Work& w);

static void perform(const Work& w) {
    double begin = now_ms();
    do_work(w);
    if (w.kind == LAUNCH) clock_ms += now_ms() - begin;
    if (w.kind == HOST) clock_ms += w.host.cost_ms;
    if (w.kind == COPY || w.kind == SET) clock_ms += 1e-3 + 1e-6 * (double)w.bytes;
}

static void do_work(const Work& w) {
    if (w.kind == RECORD) {
        w.event->reached++;
        w.event->ms = clock_ms;
        return;
    }
    if (w.kind == WAIT) {
        while (w.event->reached < w.records) drain(w.event->stream, 1);
        return;
    }
    if (sticky) return;
    if (w.kind == COPY) memmove(w.to, w.from, w.bytes);
    if (w.kind == SET) memset(w.to, w.value, w.bytes);
    if (w.kind == HOST) {
        if (++product_count == setting("THESEUS_VGPU_FAIL_PRODUCT", 0)) sticky = ILLEGAL_ADDRESS;
        else w.host.run(w.host.parameters);
    }
    if (w.kind != LAUNCH) return;
    bool kills = ++launch_count == setting("THESEUS_VGPU_FAIL_LAUNCH", 0);
    // Another schedule for every launch: two runs of one program meet both kinds and must agree.
    u64 seed = setting("THESEUS_VGPU_SEED", 0) + launch_count;
    simt::launch(w.entry, w.grid, w.block, w.shared, (const Task*)w.task, (Fault*)w.fault, (u64*)w.begun, seed);
    // What a kernel has done before it fails is done.
    if (kills) sticky = ILLEGAL_ADDRESS;
}

/// Does up to `most` pieces of the stream's work.
static void drain(Stream* s, u64 most) {
    // A stream that waits for another one drains that one from within.
    static int depth;
    if (s->done == s->list.count) return;
    if (depth++ == 0) open_memory(true);
    while (most-- > 0 && s->done < s->list.count) perform(s->list.items[s->done++]);
    if (--depth == 0) open_memory(false);
    if (s->done == s->list.count) s->done = s->list.count = 0;
}

static Result put(Stream* s, const Work& work) {
    if (sticky) return (Result)sticky;
    append(s->capturing ? &s->captured : &s->list, work);
    return SUCCESS;
}

/// Before a capture's end everything fails.
static Result spoil(Stream* s) {
    s->spoilt = true;
    return CAPTURE_UNSUPPORTED;
}

/// Code that a stream is about to use.
static Result use_code(Stream* s, bool* loaded) {
    if (s->capturing && s->spoilt) return CAPTURE_INVALIDATED;
    if (s->capturing && !*loaded) return spoil(s);
    *loaded = true;
    return SUCCESS;
}

#define EXPORT(type) extern "C" __attribute__((visibility("default"))) type
#define API EXPORT(int)

/// As many as CUDA_VISIBLE_DEVICES lists, where it is set.
static int device_count() {
    const char* visible = getenv("CUDA_VISIBLE_DEVICES");
    int count = (int)setting("THESEUS_VGPU_DEVICES", 1), listed = visible && *visible;
    if (!visible) return count;
    for (; *visible; visible++) listed += *visible == ',';
    return listed < count ? listed : count;
}

/// Most dynamic shared memory of a block.
static unsigned shared_limit() {
    u64 capability = setting("THESEUS_VGPU_CAPABILITY", 90);
    if (capability == 86 || capability == 89 || capability >= 120) return 99 << 10;
    return capability < 90 ? 163 << 10 : simt::shared_most;
}

API theseus_virtual_gpu() { return 1; }

/// For tests in the same process: as the environment's setting of that name.
API theseus_virtual_set(const char* name, u64 value) {
    Locked l;
    for (auto& own : own_settings)
        if (!own.name[0] || strcmp(own.name, name) == 0) {
            snprintf(own.name, sizeof own.name, "%s", name);
            own.value = value;
            return SUCCESS;
        }
    return INVALID_VALUE;
}
/// A process whose GPU has failed would have to end; the tests' goes on.
API theseus_virtual_heal() {
    Locked l;
    sticky = 0;
    return SUCCESS;
}
/// Bytes and pieces of device memory that are taken, pieces of pinned memory, streams, events, graphs; then what has been
/// asked for since the start: device memory, pinned memory, launches, waits of the host for work that was not done, and products.
API theseus_virtual_counts(u64* out) {
    Locked l;
    u64 counts[] = {allocated, live_allocations, live_host, live_streams, live_events, live_graphs,
                    allocation_count, host_count, launch_count, wait_count, product_count};
    memcpy(out, counts, sizeof counts);
    return SUCCESS;
}
EXPORT(uint64_t) theseus_virtual_setting(const char* name, uint64_t otherwise) {
    return setting(name, otherwise);
}
API theseus_virtual_gpu_work(Stream* s, const HostWork* host) {
    Locked l;
    Work w = {HOST};
    w.host = *host;
    Result usable = use_code(s, host->loaded);
    return usable == SUCCESS ? put(s, w) : usable;
}
EXPORT(bool) theseus_virtual_has_context() { return has_context(); }
API cuInit(unsigned) {
    int failure = (int)setting("THESEUS_VGPU_FAIL_INIT", 0);
    if (failure != 0) return failure;
    if (device_count() == 0) return NO_DEVICE;
    initialized = true;
    return SUCCESS;
}
API cuDriverGetVersion(int* version) {
    *version = (int)setting("THESEUS_VGPU_DRIVER", 13000);
    return SUCCESS;
}
API cuDeviceGetCount(int* count) {
    if (!initialized) return NOT_INITIALIZED;
    *count = device_count();
    return SUCCESS;
}
API cuDeviceGet(int* device, int index) {
    *device = index;
    return index < device_count() ? SUCCESS : INVALID_DEVICE;
}
API cuDeviceGetName(char* name, int capacity, int) {
    snprintf(name, (size_t)capacity, "virtual GPU");
    return SUCCESS;
}
API cuDeviceGetAttribute(int* value, int attribute, int) {
    int capability = (int)setting("THESEUS_VGPU_CAPABILITY", 90);
    switch (attribute) {
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = capability / 10; break;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = capability % 10; break;
        case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = 4; break;
        case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: *value = (int)shared_limit(); break;
        default: return INVALID_VALUE;
    }
    return SUCCESS;
}
API cuDeviceTotalMem_v2(size_t* bytes, int) {
    *bytes = memory_bytes();
    return SUCCESS;
}
API cuDevicePrimaryCtxRetain(void** context, int) {
    Locked l;
    if (!initialized) return NOT_INITIALIZED;
    int failure = (int)setting("THESEUS_VGPU_FAIL_CONTEXT", 0);
    if (failure != 0) return failure;
    retained++;
    *context = &lock;
    return SUCCESS;
}
API cuDevicePrimaryCtxRelease_v2(int) {
    Locked l;
    if (retained == 0) return INVALID_CONTEXT;
    retained--;
    return SUCCESS;
}
API cuCtxSetCurrent(void* context) {
    Locked l;
    if (context && retained == 0) return INVALID_CONTEXT;
    current = context != 0;
    return SUCCESS;
}
API cuMemGetInfo_v2(size_t* available, size_t* total) {
    IN_CONTEXT;
    Locked l;
    *total = memory_bytes();
    *available = free_bytes();
    return SUCCESS;
}
API cuMemAlloc_v2(u64* address, size_t bytes) {
    IN_CONTEXT;
    Locked l;
    return sticky ? (Result)sticky : allocate(address, bytes);
}
API cuMemFree_v2(u64 address) {
    IN_CONTEXT;
    Locked l;
    return release(address);
}
API cuMemHostAlloc(void** host, size_t bytes, unsigned) {
    IN_CONTEXT;
    Locked l;
    if (++host_count == setting("THESEUS_VGPU_FAIL_HOST", 0)) return OUT_OF_MEMORY;
    live_host++;
    *host = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    return *host ? SUCCESS : OUT_OF_MEMORY;
}
API cuMemHostGetDevicePointer_v2(u64* address, void* host, unsigned flags) {
    IN_CONTEXT;
    *address = (u64)host;
    return flags == 0 ? SUCCESS : INVALID_VALUE;
}
API cuMemFreeHost(void* host) {
    IN_CONTEXT;
    live_host--;
    free(host);
    return SUCCESS;
}

static Result copy(void* to, const void* from, size_t bytes, Stream* s) {
    IN_CONTEXT;
    Locked l;
    Work w = {COPY};
    w.to = (u8*)to;
    w.from = (const u8*)from;
    w.bytes = bytes;
    return put(s, w);
}
API cuMemcpyHtoDAsync_v2(u64 to, const void* from, size_t n, Stream* s) { return copy((void*)to, from, n, s); }
API cuMemcpyDtoHAsync_v2(void* to, u64 from, size_t n, Stream* s) { return copy(to, (const void*)from, n, s); }
API cuMemcpyDtoDAsync_v2(u64 to, u64 from, size_t n, Stream* s) {
    return copy((void*)to, (const void*)from, n, s);
}
API cuMemsetD8Async(u64 to, unsigned char value, size_t bytes, Stream* s) {
    IN_CONTEXT;
    Locked l;
    Work w = {SET};
    w.to = (u8*)to;
    w.value = value;
    w.bytes = bytes;
    return put(s, w);
}
API cuStreamCreate(Stream** s, unsigned) {
    IN_CONTEXT;
    *s = (Stream*)calloc(1, sizeof(Stream));
    live_streams++;
    return SUCCESS;
}
API cuStreamDestroy_v2(Stream* s) {
    IN_CONTEXT;
    Locked l;
    // One that captures is not given back.
    live_streams -= !s->capturing;
    free((void*)s->list.items);
    free((void*)s->captured.items);
    free(s);
    return SUCCESS;
}
API cuStreamSynchronize(Stream* s) {
    IN_CONTEXT;
    Locked l;
    if (s->capturing) return spoil(s);
    wait_count += s->done < s->list.count;
    drain(s, ~0ull);
    return sticky;
}
API cuStreamBeginCapture_v2(Stream* s, int) {
    IN_CONTEXT;
    Locked l;
    if (s->capturing) return ILLEGAL_STATE;
    if (sticky) return sticky;
    s->capturing = true;
    return SUCCESS;
}
API cuStreamEndCapture(Stream* s, Graph** graph) {
    IN_CONTEXT;
    Locked l;
    if (!s->capturing) return ILLEGAL_STATE;
    bool spoilt = s->spoilt;
    s->capturing = s->spoilt = false;
    *graph = 0;
    if (spoilt || sticky) {
        s->captured.count = 0;
        return sticky ? sticky : CAPTURE_INVALIDATED;
    }
    *graph = (Graph*)malloc(sizeof(Graph));
    live_graphs++;
    **graph = s->captured;
    s->captured = {};
    return SUCCESS;
}
API cuGraphInstantiateWithFlags(Graph** exec, Graph* graph, unsigned long long) {
    IN_CONTEXT;
    Graph* copied = (Graph*)calloc(1, sizeof(Graph));
    live_graphs++;
    for (u64 i = 0; i < graph->count; i++) append(copied, graph->items[i]);
    *exec = copied;
    return SUCCESS;
}
API cuGraphLaunch(Graph* exec, Stream* s) {
    IN_CONTEXT;
    Locked l;
    if (sticky) return sticky;
    if (s->capturing) return spoil(s);
    for (u64 i = 0; i < exec->count; i++) append(&s->list, exec->items[i]);
    return SUCCESS;
}
API cuGraphDestroy(Graph* graph) {
    live_graphs--;
    free((void*)graph->items);
    free(graph);
    return SUCCESS;
}
API cuGraphExecDestroy(Graph* graph) { return cuGraphDestroy(graph); }
API cuStreamWaitEvent(Stream* s, Event* event, unsigned) {
    IN_CONTEXT;
    Locked l;
    Work w = {WAIT};
    w.event = event;
    w.records = event->asked;
    return put(s, w);
}
API cuEventCreate(Event** event, unsigned flags) {
    IN_CONTEXT;
    *event = (Event*)calloc(1, sizeof(Event));
    (*event)->untimed = flags & CU_EVENT_DISABLE_TIMING;
    live_events++;
    return SUCCESS;
}
API cuEventDestroy_v2(Event* event) {
    live_events--;
    free(event);
    return SUCCESS;
}
API cuEventRecord(Event* event, Stream* s) {
    IN_CONTEXT;
    Locked l;
    Work w = {RECORD};
    w.event = event;
    event->stream = s;
    event->asked++;
    return put(s, w);
}
API cuEventQuery(Event* event) {
    IN_CONTEXT;
    Locked l;
    if (event->reached < event->asked) drain(event->stream, 32);
    return sticky ? sticky : event->reached < event->asked ? NOT_READY : SUCCESS;
}
API cuEventSynchronize(Event* event) {
    IN_CONTEXT;
    Locked l;
    wait_count += event->reached < event->asked;
    while (event->reached < event->asked) drain(event->stream, 1);
    return sticky;
}
API cuEventElapsedTime(float* ms, Event* from, Event* to) {
    IN_CONTEXT;
    Locked l;
    if (from->untimed || to->untimed || from->asked == 0 || to->asked == 0) return INVALID_HANDLE;
    if (from->reached < from->asked || to->reached < to->asked) return NOT_READY;
    *ms = (float)(to->ms - from->ms);
    return sticky;
}
API cuModuleLoadData(void** module, const void*) {
    IN_CONTEXT;
    Locked l;
    // Modules of several devices share the kernels.
    if (live_modules++ == 0)
        for (simt::Kernel* k = simt::Kernel::first; k; k = k->next) k->loaded = false;
    *module = &lock;
    return SUCCESS;
}
API cuModuleUnload(void*) {
    Locked l;
    live_modules--;
    return SUCCESS;
}
API cuModuleGetFunction(simt::Kernel** function, void*, const char* name) {
    IN_CONTEXT;
    for (simt::Kernel* k = simt::Kernel::first; k; k = k->next)
        if (strcmp(k->name, name) == 0) {
            *function = k;
            return SUCCESS;
        }
    return NOT_FOUND;
}
API cuFuncSetAttribute(simt::Kernel* function, int attribute, int value) {
    IN_CONTEXT;
    if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 || (unsigned)value > shared_limit()) return INVALID_VALUE;
    function->shared_max = (unsigned)value;
    return SUCCESS;
}
API cuFuncLoad(simt::Kernel* function) {
    function->loaded = true;
    return SUCCESS;
}
API cuLaunchKernel(simt::Kernel* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                   unsigned bz, unsigned shared, Stream* s, void** parameters, void**) {
    IN_CONTEXT;
    Locked l;
    bool fits = gx > 0 && gy > 0 && gz > 0 && gx < 1u << 31 && gy < 1u << 16 && gz < 1u << 16;
    if (!fits || bx * by * bz == 0 || shared > function->shared_max) return INVALID_VALUE;
    if (bx * by * bz > function->threads) return OUT_OF_RESOURCES;
    Work w = {LAUNCH};
    w.entry = function->entry;
    w.grid = {gx, gy, gz};
    w.block = {bx, by, bz};
    w.shared = shared;
    w.task = *(u64*)parameters[0];
    w.fault = *(u64*)parameters[1];
    w.begun = *(u64*)parameters[2];
    if (*(u64*)parameters[3] != w.task) return INVALID_VALUE;
    Result usable = use_code(s, &function->loaded);
    return usable == SUCCESS ? put(s, w) : usable;
}
API cuGetErrorName(int code, const char** name) {
    *name = code == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY"
        : code == ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS"
        : code == INVALID_CONTEXT ? "CUDA_ERROR_INVALID_CONTEXT"
        : code == CUDA_ERROR_DEVICE_UNAVAILABLE ? "CUDA_ERROR_DEVICE_UNAVAILABLE"
        : code == CAPTURE_UNSUPPORTED ? "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"
        : code == CUDA_ERROR_SYSTEM_NOT_READY ? "CUDA_ERROR_SYSTEM_NOT_READY"
        : code == CUDA_ERROR_SYSTEM_DRIVER_MISMATCH ? "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"
        : code == NO_DEVICE ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_UNKNOWN";
    return SUCCESS;
}
