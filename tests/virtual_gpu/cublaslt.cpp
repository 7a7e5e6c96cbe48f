/// A stand-in for libcublasLt.so.13: matrix products of f32 and bf16 with f32 sums and the epilogues that zig/cuda asks for. What
/// the real library refuses by its documentation is refused here. Its algorithms add in different orders, so another choice gives
/// other bits; how long they seem to take depends on the environment:
///   THESEUS_VGPU_TIMES=seed        other algorithms are the fastest
///   THESEUS_VGPU_FAIL_MATMUL=k     the k-th product is refused
///   THESEUS_VGPU_EPILOGUES=0       no epilogue but the bias
///   THESEUS_VGPU_SLOW_SUMS=k       products that also sum the columns of A take k milliseconds more
///   THESEUS_VGPU_CUBLASLT=130100   its version
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "host_work.h"
#include "numbers.h"

typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t i64;

#define NUMBER(name, value) name = value,
enum { NUMBERS_OF_CUDA(NUMBER) };
enum Status {
    SUCCESS = CUBLAS_STATUS_SUCCESS, NOT_INITIALIZED = CUBLAS_STATUS_NOT_INITIALIZED,
    INVALID_VALUE = CUBLAS_STATUS_INVALID_VALUE,
    EXECUTION_FAILED = CUBLAS_STATUS_EXECUTION_FAILED, NOT_SUPPORTED = CUBLAS_STATUS_NOT_SUPPORTED,
};
enum Type { F32 = CUDA_R_32F, BF16 = CUDA_R_16BF };
enum Epilogue {
    DEFAULT = CUBLASLT_EPILOGUE_DEFAULT, BIAS = CUBLASLT_EPILOGUE_BIAS, GELU = CUBLASLT_EPILOGUE_GELU,
    GELU_AUX = CUBLASLT_EPILOGUE_GELU_AUX, GELU_BIAS = CUBLASLT_EPILOGUE_GELU_BIAS,
    GELU_AUX_BIAS = CUBLASLT_EPILOGUE_GELU_AUX_BIAS, DGELU = CUBLASLT_EPILOGUE_DGELU,
    BGRADA = CUBLASLT_EPILOGUE_BGRADA,
};
const int compute_f32 = CUBLAS_COMPUTE_32F;
const u32 scheme_compute_type = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
/// Of an epilogue that reads or keeps the value before the activation.
const u32 with_aux = GELU_AUX & ~GELU;

struct Desc {
    int compute, scale, transpose[2];
    u32 epilogue;
    u64 bias, aux;
    i64 aux_leading, aux_stride;
};
struct Layout {
    int type;
    u64 rows, columns;
    i64 leading, stride;
    int batch;
};
struct Preference {
    u64 workspace;
    u32 schemes, alignment[4];
};
struct Algorithm {
    u64 magic;
    u32 id, alignment;
    u64 workspace;
    u64 unused[5];
};
static_assert(sizeof(Algorithm) == 64, "as cublasLtMatmulAlgo_t");
struct Heuristic {
    Algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};
static_assert(sizeof(Heuristic) == 96, "as cublasLtMatmulHeuristicResult_t");

const u64 magic = 0x7468657365757301ull;

static u64 setting(const char* name, u64 otherwise) { return theseus_virtual_setting(name, otherwise); }

// --- Algorithms -----------------------------------------------------------------------------------------------------

/// In which order a product's terms are added: `groups` sums of every groups-th term, or of a piece each, then the sums.
struct Order {
    u32 groups;
    bool pieces, backwards;
    /// Of the operands, in bytes.
    u32 alignment;
    bool has_workspace;
    /// Adds only to what lies where the result goes.
    bool in_place;
};
const Order orders[] = {
    {1, false, false, 4, false, false}, {4, false, false, 16, false, false}, {1, false, true, 2, false, false},
    {2, true, false, 16, true, false},  {8, true, false, 8, false, false},   {3, false, true, 16, false, true},
};
const u32 order_count = sizeof orders / sizeof orders[0];

struct Call {
    Desc desc;
    Layout a, b, c, d;
    u64 at_a, at_b, at_c, at_d;
    float alpha, beta;
    u32 id;
    u64 m, n, k;
};
static_assert(sizeof(Call) <= sizeof HostWork::parameters, "kept with the work");

static float load(const void* at, int type, i64 index) {
    if (type == F32) return ((const float*)at)[index];
    u32 bits = (u32)((const u16*)at)[index] << 16;
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
static void store(void* at, int type, i64 index, float x) {
    if (type == F32) {
        ((float*)at)[index] = x;
        return;
    }
    u32 bits;
    memcpy(&bits, &x, 4);
    bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    ((u16*)at)[index] = (u16)(nan ? bits >> 16 | 0x40 : (bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

static float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
static float gelu(float x) { return x * sigmoid(1.5957691216057308f * (x + 0.044715f * x * x * x)); }
static float gelu_slope(float x) {
    float s = sigmoid(1.5957691216057308f * (x + 0.044715f * x * x * x));
    return s + x * s * (1.0f - s) * 1.5957691216057308f * (1.0f + 3.0f * 0.044715f * x * x);
}

/// op(A) as [k, m] or op(B) as [n, k], in f32.
static float* dense(u64 at, const Layout& layout, bool transposed, u64 rows, u64 columns, i64 batch) {
    float* out = (float*)malloc(rows * columns * 4);
    const void* from = (const char*)at + batch * layout.stride * (layout.type == F32 ? 4 : 2);
    for (u64 c = 0; c < columns; c++)
        for (u64 r = 0; r < rows; r++)
            out[c * rows + r] = load(from, layout.type, transposed ? r * layout.leading + c : c * layout.leading + r);
    return out;
}

/// One column of the product, [m], in `order`.
static void column(const Order& order, const float* a, const float* b, u64 m, u64 k, float* sums, float* out) {
    memset(sums, 0, order.groups * m * 4);
    for (u64 step = 0; step < k; step++) {
        u64 p = order.backwards ? k - 1 - step : step;
        float* into = sums + (order.pieces ? p * order.groups / k : p % order.groups) * m;
        const float* left = a + p * m;
        float right = b[p];
        for (u64 i = 0; i < m; i++) into[i] = __builtin_fmaf(left[i], right, into[i]);
    }
    memcpy(out, sums, m * 4);
    for (u32 g = 1; g < order.groups; g++)
        for (u64 i = 0; i < m; i++) out[i] += sums[g * m + i];
}

static void finish(const Call& call, const float* sums, i64 batch, u64 j) {
    const Desc& desc = call.desc;
    const Layout &c = call.c, &d = call.d;
    for (u64 i = 0; i < call.m; i++) {
        float x = call.alpha * sums[i];
        if (call.beta != 0) x += call.beta * load((void*)call.at_c, c.type, batch * c.stride + j * c.leading + i);
        if (desc.epilogue & BIAS) x += load((void*)desc.bias, d.type, i);
        i64 aux = batch * desc.aux_stride + j * desc.aux_leading + i;
        if ((desc.epilogue & GELU_AUX) == GELU_AUX) store((void*)desc.aux, d.type, aux, x);
        if (desc.epilogue & GELU) x = gelu(x);
        if (desc.epilogue == DGELU) x *= gelu_slope(load((void*)desc.aux, d.type, aux));
        store((void*)call.at_d, d.type, batch * d.stride + j * d.leading + i, x);
    }
}

/// Sums of op(A) [k, m] over k into a vector of the result's dtype, in the algorithm's order.
static void sum_rows(const Call& call, const Order& order, const float* a) {
    for (u64 i = 0; i < call.m; i++) {
        float sum = 0;
        for (u64 step = 0; step < call.k; step++) sum += a[(order.backwards ? call.k - 1 - step : step) * call.m + i];
        store((void*)call.desc.bias, call.d.type, i, sum);
    }
}

static void multiply(const void* parameters) {
    const Call& call = *(const Call*)parameters;
    const Order& order = orders[call.id];
    float* sums = (float*)malloc((order.groups + 1) * call.m * 4);
    for (i64 batch = 0; batch < call.d.batch; batch++) {
        float* a = dense(call.at_a, call.a, call.desc.transpose[0], call.m, call.k, batch);
        float* b = dense(call.at_b, call.b, call.desc.transpose[1], call.k, call.n, batch);
        if (call.desc.epilogue == BGRADA) sum_rows(call, order, a);
        for (u64 j = 0; j < call.n; j++) {
            float* out = sums + order.groups * call.m;
            column(order, a, b + j * call.k, call.m, call.k, sums, out);
            finish(call, out, batch, j);
        }
        free(a);
        free(b);
    }
    free(sums);
}

// --- What is refused ------------------------------------------------------------------------------------------------

static int check_epilogue(const Desc& desc, const Layout& d) {
    switch (desc.epilogue) {
        case DEFAULT: case BIAS: break;
        case GELU: case GELU_BIAS: case GELU_AUX: case GELU_AUX_BIAS: case DGELU: case BGRADA:
            if (setting("THESEUS_VGPU_EPILOGUES", 1) == 0) return NOT_SUPPORTED;
            break;
        default: return NOT_SUPPORTED;
    }
    // A vector of one result; what it would be of a batch is nowhere said.
    if (desc.epilogue == BGRADA && d.batch > 1) return NOT_SUPPORTED;
    if ((desc.epilogue & (BIAS | BGRADA)) && (desc.bias == 0 || desc.bias % 16 != 0)) return INVALID_VALUE;
    if (!(desc.epilogue & with_aux)) return SUCCESS;
    bool fits = desc.aux != 0 && desc.aux % 16 == 0 && desc.aux_leading % 8 == 0 && desc.aux_leading >= (i64)d.rows;
    return fits && desc.aux_stride % 8 == 0 ? SUCCESS : INVALID_VALUE;
}

static int check(const Desc* desc, const Layout* a, const Layout* b, const Layout* c, const Layout* d) {
    if (!desc || !a || !b || !c || !d) return INVALID_VALUE;
    if (desc->compute != compute_f32 || desc->scale != F32) return NOT_SUPPORTED;
    if (a->type != b->type || c->type != d->type || (a->type == F32 && d->type == BF16)) return NOT_SUPPORTED;
    const Layout* all[] = {a, b, c, d};
    for (const Layout* each : all) {
        if (each->type != F32 && each->type != BF16) return NOT_SUPPORTED;
        if (each->rows == 0 || each->columns == 0 || each->leading < (i64)each->rows) return INVALID_VALUE;
        if (each->batch != d->batch || each->stride < 0) return INVALID_VALUE;
    }
    if (d->batch > 1 && d->stride < (i64)((d->columns - 1) * d->leading + d->rows)) return INVALID_VALUE;
    bool ta = desc->transpose[0], tb = desc->transpose[1];
    u64 k = ta ? a->rows : a->columns;
    bool fit = (ta ? a->columns : a->rows) == d->rows && (tb ? b->rows : b->columns) == d->columns;
    if (!fit || (tb ? b->columns : b->rows) != k || c->rows != d->rows || c->columns != d->columns) return INVALID_VALUE;
    return check_epilogue(*desc, *d);
}

static u64 workspace_of(u32 id, const Layout& d) {
    return orders[id].has_workspace ? orders[id].groups * d.rows * d.columns * d.batch * 4 : 0;
}

// --- The library ----------------------------------------------------------------------------------------------------

#define EXPORT extern "C" __attribute__((visibility("default")))
#define API EXPORT int

EXPORT size_t cublasLtGetVersion() { return setting("THESEUS_VGPU_CUBLASLT", 130002); }
EXPORT const char* cublasLtGetStatusName(int status) {
    return status == INVALID_VALUE ? "CUBLAS_STATUS_INVALID_VALUE"
        : status == EXECUTION_FAILED ? "CUBLAS_STATUS_EXECUTION_FAILED"
        : status == NOT_SUPPORTED ? "CUBLAS_STATUS_NOT_SUPPORTED" : "CUBLAS_STATUS_NOT_INITIALIZED";
}
/// By algorithm, dtypes, transposes and epilogue: each of them is other code.
static u64 handles;
static bool loaded[order_count][2][2][2][2][256];

API cublasLtCreate(void** handle) {
    if (!theseus_virtual_has_context()) return NOT_INITIALIZED;
    if (handles++ == 0) memset(loaded, 0, sizeof loaded);
    *handle = malloc(1);
    return SUCCESS;
}
API cublasLtDestroy(void* handle) {
    handles--;
    free(handle);
    return SUCCESS;
}

template <class T> static int create(T** out, const T& value) {
    *out = (T*)malloc(sizeof(T));
    **out = value;
    return SUCCESS;
}
template <class T> static int set(T* to, const void* from, size_t bytes) {
    if (!from || bytes != sizeof(T)) return INVALID_VALUE;
    memcpy(to, from, bytes);
    return SUCCESS;
}

API cublasLtMatmulDescCreate(Desc** desc, int compute, int scale) {
    return create(desc, {compute, scale, {0, 0}, DEFAULT, 0, 0, 0, 0});
}
API cublasLtMatmulDescDestroy(Desc* desc) {
    free(desc);
    return SUCCESS;
}
API cublasLtMatmulDescSetAttribute(Desc* desc, int attribute, const void* from, size_t bytes) {
    switch (attribute) {
        case CUBLASLT_MATMUL_DESC_TRANSA: return set(&desc->transpose[0], from, bytes);
        case CUBLASLT_MATMUL_DESC_TRANSB: return set(&desc->transpose[1], from, bytes);
        case CUBLASLT_MATMUL_DESC_EPILOGUE: return set(&desc->epilogue, from, bytes);
        case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return set(&desc->bias, from, bytes);
        case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER: return set(&desc->aux, from, bytes);
        case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD: return set(&desc->aux_leading, from, bytes);
        case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE: return set(&desc->aux_stride, from, bytes);
        default: return INVALID_VALUE;
    }
}
API cublasLtMatrixLayoutCreate(Layout** layout, int type, u64 rows, u64 columns, i64 leading) {
    return create(layout, {type, rows, columns, leading, 0, 1});
}
API cublasLtMatrixLayoutDestroy(Layout* layout) {
    free(layout);
    return SUCCESS;
}
API cublasLtMatrixLayoutSetAttribute(Layout* layout, int attribute, const void* from, size_t bytes) {
    if (attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT) return set(&layout->batch, from, bytes);
    bool is_stride = attribute == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET;
    return is_stride ? set(&layout->stride, from, bytes) : INVALID_VALUE;
}
API cublasLtMatmulPreferenceCreate(Preference** preference) {
    return create(preference, {0, CUBLASLT_REDUCTION_SCHEME_MASK, {256, 256, 256, 256}});
}
API cublasLtMatmulPreferenceDestroy(Preference* preference) {
    free(preference);
    return SUCCESS;
}
API cublasLtMatmulPreferenceSetAttribute(Preference* preference, int attribute, const void* from, size_t bytes) {
    const int first = CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, last = CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES;
    if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) return set(&preference->workspace, from, bytes);
    if (attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK) return set(&preference->schemes, from, bytes);
    bool is_alignment = attribute >= first && attribute <= last;
    return is_alignment ? set(&preference->alignment[attribute - first], from, bytes) : INVALID_VALUE;
}

API cublasLtMatmulAlgoGetHeuristic(void*, const Desc* desc, const Layout* a, const Layout* b, const Layout* c,
                                   const Layout* d, const Preference* preference, int wanted, Heuristic* out,
                                   int* count) {
    *count = 0;
    int state = check(desc, a, b, c, d);
    if (state != SUCCESS) return state;
    u32 least = 256;
    for (u32 each : preference->alignment) least = each < least ? each : least;
    for (u32 id = 0; id < order_count && *count < wanted; id++) {
        const Order& order = orders[id];
        u64 needs = workspace_of(id, *d);
        if (order.alignment > least || needs > preference->workspace) continue;
        if (order.has_workspace && !(preference->schemes & scheme_compute_type)) continue;
        Heuristic& h = out[(*count)++];
        h = {};
        h.algorithm = {magic, id, order.alignment, needs, {}};
        h.workspace = needs;
        // One of them turns out not to be there after all.
        h.state = id == 2 ? NOT_SUPPORTED : SUCCESS;
        h.waves = 1;
    }
    return *count > 0 ? SUCCESS : NOT_SUPPORTED;
}

API cublasLtMatmulAlgoCheck(void*, const Desc* desc, const Layout* a, const Layout* b, const Layout* c,
                            const Layout* d, const Algorithm* algorithm, Heuristic* out) {
    int state = check(desc, a, b, c, d);
    if (state != SUCCESS) return state;
    if (algorithm->magic != magic || algorithm->id >= order_count) return INVALID_VALUE;
    out->workspace = workspace_of(algorithm->id, *d);
    out->state = SUCCESS;
    return SUCCESS;
}

API cublasLtMatmulAlgoCapGetAttribute(const Algorithm* algorithm, int attribute, void* to, size_t bytes,
                                      size_t* written) {
    if (algorithm->magic != magic || algorithm->id >= order_count || attribute != CUBLASLT_ALGO_CAP_OUT_OF_PLACE_RESULT_SUPPORT || bytes != sizeof(int))
        return INVALID_VALUE;
    int supported = !orders[algorithm->id].in_place;
    memcpy(to, &supported, sizeof supported);
    *written = sizeof supported;
    return SUCCESS;
}

/// Hashed, so that every algorithm is the fastest for some seed.
static double cost_ms(const Call& call) {
    u64 mixed = (setting("THESEUS_VGPU_TIMES", 0) * 31 + call.id + 1) * 0x9e3779b97f4a7c15ull;
    double factor = 1 + (double)(mixed >> 40) / (1 << 24);
    double more = call.desc.epilogue == BGRADA ? (double)setting("THESEUS_VGPU_SLOW_SUMS", 0) : 0;
    return more + 0.5 * factor + 1e-9 * factor * (double)call.m * (double)call.n * (double)call.k * call.d.batch;
}

static u64 products;
/// How many products the library was asked for.
EXPORT u64 theseus_virtual_matmuls() { return products; }

API cublasLtMatmul(void* handle, const Desc* desc, const float* alpha, u64 at_a, const Layout* a, u64 at_b,
                   const Layout* b, const float* beta, u64 at_c, const Layout* c, u64 at_d, const Layout* d,
                   const Algorithm* algorithm, u64 workspace, size_t workspace_bytes, Stream* stream) {
    if (!handle || !theseus_virtual_has_context()) return NOT_INITIALIZED;
    if (++products == setting("THESEUS_VGPU_FAIL_MATMUL", 0)) return EXECUTION_FAILED;
    int state = check(desc, a, b, c, d);
    if (state != SUCCESS) return state;
    if (!algorithm || algorithm->magic != magic || algorithm->id >= order_count) return INVALID_VALUE;
    if (workspace % 256 != 0 || workspace_of(algorithm->id, *d) > workspace_bytes) return INVALID_VALUE;
    u64 misaligned = (at_a | at_b | at_c | at_d) % orders[algorithm->id].alignment;
    bool same = c->leading == d->leading && c->stride == d->stride;
    if (misaligned || (at_c == at_d && !same)) return INVALID_VALUE;
    if (orders[algorithm->id].in_place && *beta != 0 && at_c != at_d) return NOT_SUPPORTED;
    Call call = {*desc, *a, *b, *c, *d, at_a, at_b, at_c, at_d, *alpha, *beta, algorithm->id, d->rows, d->columns, 0};
    call.k = desc->transpose[0] ? a->rows : a->columns;
    bool* code = &loaded[call.id][a->type == F32][d->type == F32][desc->transpose[0]][desc->transpose[1]][desc->epilogue];
    HostWork work = {multiply, cost_ms(call), code, {}};
    memcpy(work.parameters, &call, sizeof call);
    return theseus_virtual_gpu_work(stream, &work) == 0 ? SUCCESS : EXECUTION_FAILED;
}
