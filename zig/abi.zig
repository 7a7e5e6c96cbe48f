//! The binary interface between TypeScript and the library: element types, opcodes, instruction layout, status.
//! `src/runtime/abi.gen.ts` is generated from this file; a test fails when it is stale.
//! Every struct that crosses an object boundary (kernels are compiled once per CPU level) is extern.

pub const abi_version: u32 = 1;

pub const Dtype = enum(u8) { f32 = 0, bf16 = 1, i32 = 2, u32 = 3, bool = 4 };

pub fn dtype_bytes(dtype: Dtype) u32 {
    return switch (dtype) {
        .f32, .i32, .u32 => 4,
        .bf16 => 2,
        .bool => 1,
    };
}

/// Status codes; functions return minus the code.
pub const Status = enum(u8) {
    ok = 0,
    invalid_argument = 1,
    invalid_handle = 2,
    out_of_memory = 3,
    invalid_program = 4,
    not_bound = 5,
    index_out_of_range = 6,
    kernel_failed = 7,
    poisoned = 8,
    io_failed = 9,
    unsupported = 10,
    busy = 11,
    buffer_too_small = 12,
};

pub const rank_max = 8;

/// One operand, resolved: `data` points at the first element. `strides` are in elements and never negative.
pub const Operand = extern struct {
    data: [*]u8,
    dims: [rank_max]u32,
    strides: [rank_max]u64,
    rank: u8,
    dtype: Dtype,
    /// 1: the kernel writes it (results and the shared workspace).
    output: u8,
    reserved: u8 = 0,
    buffer: u32,

    pub fn count(o: *const Operand) u64 {
        var n: u64 = 1;
        for (o.dims[0..o.rank]) |d| n *= d;
        return n;
    }
    pub fn ptr(o: *const Operand, comptime T: type) [*]T {
        return @ptrCast(@alignCast(o.data));
    }
    /// Size of dimension `i` counted from the end (0 = last); 1 beyond the rank.
    pub fn dim_last(o: *const Operand, i: u32) u64 {
        return if (i < o.rank) o.dims[o.rank - 1 - i] else 1;
    }
    pub fn is_contiguous(o: *const Operand) bool {
        var step: u64 = 1;
        var i: u32 = o.rank;
        while (i > 0) {
            i -= 1;
            if (o.dims[i] != 1 and o.strides[i] != step) return false;
            step *= o.dims[i];
        }
        return true;
    }
};

/// Operands are the inputs in order, then the results in order, then (if declared) the shared workspace.
pub const Instruction = extern struct {
    opcode: Opcode,
    operand_count: u16,
    word_count: u32,
    operands: [*]const Operand,
    words: [*]const u32,
    /// Node id in the TypeScript graph, for messages.
    node: u32,
    /// 1 when the last operand is the shared workspace.
    has_workspace: u32,

    pub fn operand(i: *const Instruction, index: usize) *const Operand {
        return &i.operands[index];
    }
    pub fn word(i: *const Instruction, index: usize) u32 {
        return i.words[index];
    }
    pub fn float(i: *const Instruction, index: usize) f32 {
        return @bitCast(i.words[index]);
    }
    pub fn workspace(i: *const Instruction) *const Operand {
        return &i.operands[i.operand_count - 1];
    }
};

/// Every opcode with its operands (inputs -> results) and words. [..] are shapes, C = contiguous is required,
/// S = any strides. "f" is f32 or bf16; a GPU takes some more operands as bf16, see zig/cuda/widened.zig. Shapes are checked by the
/// kernel's `check` at load.
pub const Opcode = enum(u16) {
    /// `map`: S inputs (<= 8, all with the results' dims; stride 0 broadcasts) -> C results (<= 4). Any dtypes.
    /// words: input count, result count, constant count, instruction count, constants (bits), instructions, result registers.
    /// Registers: 0..7 inputs, 8..39 constants, 64.. instruction k writes 64+k. Instruction = op | a<<8 | b<<16 | c<<24 (see MapOp).
    /// f32 and bf16 load as f32; i32, u32 and bool load as 32-bit integers; the store converts by the result's dtype (bf16 rounds to nearest even).
    map = 1,
    /// `map_reduce`: S inputs (<= 8, common dims of rank <= 8) -> C result (dims with the reduced ones removed).
    /// words: kind (0 sum, 1 max), mask of reduced dims (bit d), then as for `map` with one result register.
    map_reduce = 2,
    /// S in -> S out, same dims, same dtype (2-byte, 4-byte or 1-byte elements are moved as they are).
    copy = 3,
    /// -> C out. words: bits of the value (for bf16 the low 16, for bool 0 or 1).
    fill = 4,
    /// -> C out i32|u32|f32. words: dimension that counts.
    iota = 5,
    /// step u32[], sample u32[B] -> C out u32[B, ...]. words: key0, key1. Philox4x32-10; see src/util/prng.ts for the counter.
    random_bits = 6,
    /// A S [batch, M, K], B S [batch, K, N], then by flags: bias C f32 [N], residual C f [batch, M, N], aux C f32 [batch, M, N]
    /// -> out (last dim contiguous) f [batch, M, N], and if save_aux: aux C f32 [batch, M, N], and if column_sums (batch 1):
    /// sums C f32 [N] of B's columns. A and B are f32 or bf16 storage.
    /// out = cast(act(alpha * A.B + bias) * act'(aux) + residual); steps without their flag are left out; save_aux stores the value before act.
    /// words: flags (MatmulFlag bits), compute (0 f32, 1 bf16 operands with f32 accumulation), activation (Activation), alpha f32.
    /// residual may be the same memory as out (accumulation).
    matmul = 7,
    /// C in f32|i32|u32 -> C out. words: dim, exclusive (0|1), reverse (0|1).
    cumsum = 8,
    /// C in f -> C out i32 over the last dim (lowest index wins).
    argmax = 9,
    /// C table [V, ...row], C ids i32|u32 [...n] -> C out [...n, ...row]. An id outside [0, V) fails the program.
    gather = 10,
    /// C base f32 [V, ...row], C ids [...n], C updates f32 [...n, ...row] -> C out [V, ...row] (may alias base). Row order is the ids' order.
    scatter_add = 11,
    /// C in, starts i32|u32[] per dim (rank scalars as one operand [rank]) -> C out. Out of range fails the program.
    dynamic_slice = 12,
    /// C in, C update, starts [rank] -> C out (may alias in).
    dynamic_update = 13,

    /// x C f [M, C], weight f32 [C], bias f32 [C] (bias only if words[1] = 1) -> y C f [M, C], mean f32 [M], rstd f32 [M]. words: eps, has_bias.
    layer_norm = 32,
    /// x f [M, C], weight, mean, rstd, dy f32 [M, C], (residual gradient f32 [M, C] if words[1] = 1) -> dx f32 [M, C] (+ residual gradient; may alias it),
    /// dweight f32 [C], dbias f32 [C] (if words[0] = 1). words: has_bias, has_residual.
    layer_norm_grad = 33,
    /// x C f [M, C], weight f32 [C] -> y C f [M, C], rstd f32 [M]. words: eps.
    rms_norm = 34,
    /// x, weight, rstd, dy f32, (residual gradient if words[0] = 1) -> dx f32, dweight f32 [C]. words: has_residual.
    rms_norm_grad = 35,
    /// x C f [M, C] -> y C f [M, C]; over the last dim.
    softmax = 36,
    /// y, dy f32 -> dx f32.
    softmax_grad = 37,
    /// logits C f [M, V], targets i32|u32 [M] -> loss f32 [M], lse f32 [M]. A target outside [0, V) fails the program unless it is ignore (i32 -1): loss 0.
    cross_entropy = 38,
    /// logits, targets, lse, dloss f32 [M] -> dlogits f32 [M, V].
    cross_entropy_grad = 39,
    /// x C f [M, C], w C f32 [V, C], targets [M] -> loss f32 [M], lse f32 [M]. words: compute (as matmul), rows per chunk. Logits live in the workspace.
    linear_cross_entropy = 40,
    /// x, w, targets, dloss f32 [M], (dw base f32 [V, C] if words[2] = 1) -> loss f32 [M], lse f32 [M], dx f32 [M, C], dw f32 [V, C] (+ base; may alias it).
    /// words: compute, rows per chunk, has_base.
    linear_cross_entropy_grad = 41,
    /// q S f [B, T, H, D], k S f [B, T, G, D], v S f [B, T, G, D] (D contiguous; G divides H), (document starts u32 [B, T] if words[1] = 1)
    /// -> out S f [B, T, H, D], lse f32 [B, H, T]. words: causal, has_documents, window (0 = none), scale f32, compute.
    /// Position i sees j when (not causal or j <= i) and (no window or i - j < window) and (no documents or j >= start[i]).
    attention = 42,
    /// q, k, v, out, lse, dout S f32 [B, T, H, D], (documents) -> dq S f32, dk S f32, dv S f32 (D contiguous). words: as attention.
    attention_grad = 43,
    /// x S f [B, T, H, D] (D contiguous), positions u32|i32 [B, T] -> y S f, same dims. words: theta f32,
    /// inverse (1 = gradient), rotary dims d, and optionally magnitude f32 with d/2 frequency factors f64. Half-split pairs (i, i + d/2).
    rope = 44,
    /// ids i32|u32 [M], table C f32 [V, C] -> y C f [M, C]. An id outside [0, V) fails the program.
    embedding = 45,
    /// ids [M], dy C f32 [M, C], (base f32 [V, C] if words[0] = 1) -> dtable f32 [V, C] (+ base; may alias it). words: has_base.
    embedding_grad = 46,
    /// param, m, v, grad (C f32, same dims), scalars f32 [8] -> param, m, v (may alias).
    /// scalars: learning rate, beta1, beta2, eps, weight decay, gradient scale, step (1-based), apply (0 leaves everything as it was).
    adamw = 47,
    /// n C f32 tensors -> out f32 []: square root of the sum of squares, in f64 over fixed chunks.
    grad_norm = 48,
    /// -> C out f32. words: key0, key1, standard deviation f32. Box and Muller's method on the words that random_bits gives
    /// for step 0 and sample 0: two numbers from words 2 i (radius) and 2 i + 1 (angle).
    random_normal = 49,
    /// q S f [B, T, H, D] (D contiguous), k C f [R, G, S, D], v like k, rows C i32 [B], slots C i32 [B, T] -> out S f [B, T, H, D].
    /// words: window (0 = none), scale f32, compute. A token at slot s sees places j <= s of its row with s - j < window; slot < 0 gives 0.
    /// Where T = 1 the workspace holds the shares of chunks of places.
    attention_cached = 50,
    /// cache C f [R, G, S, D], x S f [B, T, G, D] (D contiguous), rows C i32 [B], slots C i32 [B, T] -> cache (may alias). A slot < 0 writes nothing.
    cache_write = 51,
};

/// Bytecode of `map`. Suffix i: 32-bit integers; comparisons give 0 or 1 as integers; select: a != 0 ? b : c.
pub const MapOp = enum(u8) {
    add = 0,
    sub = 1,
    mul = 2,
    div = 3,
    max = 4,
    min = 5,
    pow = 6,
    neg = 7,
    exp = 8,
    log = 9,
    sqrt = 10,
    rsqrt = 11,
    sin = 12,
    cos = 13,
    tanh = 14,
    erf = 15,
    abs = 16,
    floor = 17,
    fma = 18,
    gelu_tanh = 19,
    gelu_tanh_grad = 20,
    gelu_erf = 21,
    gelu_erf_grad = 22,
    silu = 23,
    silu_grad = 24,
    sigmoid = 25,
    eq = 32,
    ne = 33,
    lt = 34,
    le = 35,
    select = 36,
    /// Rounds to bf16 and back, where a cast pair must keep its rounding.
    round_bf16 = 37,
    addi = 48,
    subi = 49,
    muli = 50,
    divi = 51,
    divu = 52,
    maxi = 53,
    mini = 54,
    maxu = 55,
    minu = 56,
    eqi = 57,
    nei = 58,
    lti = 59,
    lei = 60,
    ltu = 61,
    leu = 62,
    andi = 63,
    ori = 64,
    negi = 65,
    absi = 66,
    f_to_i = 80,
    f_to_u = 81,
    i_to_f = 82,
    u_to_f = 83,
    /// Non-zero to 1 (cast to bool).
    to_bool_f = 84,
    to_bool_i = 85,
    /// Same bits under the other kind of register.
    bitcast = 86,
};

pub const MatmulFlag = struct {
    pub const bias: u32 = 1;
    pub const residual: u32 = 2;
    pub const activation: u32 = 4;
    pub const save_aux: u32 = 8;
    pub const activation_grad: u32 = 16;
    pub const column_sums: u32 = 32;
    pub const all: u32 = 63;
};

pub const Activation = enum(u32) { none = 0, gelu_tanh = 1, gelu_erf = 2, silu = 3 };
