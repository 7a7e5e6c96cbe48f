//! Searches cuBLASLt's algorithm for a product: the library proposes, each proposal is timed on memory of its own, the fastest
//! stays. Runs on the stream of copies, while programs may be running on the other one.
const std = @import("std");
const failure = @import("../failure.zig");
const lt_file = @import("cublaslt.zig");
const product_file = @import("product.zig");
const products_file = @import("products.zig");
const Gpu = @import("device.zig").Gpu;

const Addresses = product_file.Addresses;
const Choice = products_file.Choice;
const CublasLt = lt_file.CublasLt;
const Epilogue = lt_file.Epilogue;
const Error = failure.Error;
const Handle = lt_file.Handle;
const Heuristic = lt_file.Heuristic;
const Matrix = product_file.Matrix;
const Prepared = products_file.Prepared;
const Product = product_file.Product;
const Products = products_file.Products;

const proposals_max = 16;
const rounds = 3;
/// Short products are repeated until a measurement takes about this long.
const measured_ms = 0.5;
const repeats_max = 20;
/// Of the random numbers with which a measurement's memory is filled, again and again.
const noise_bytes = 1 << 20;

/// Null: the library has none. Where it `measures` not, the library's first proposal is the choice.
pub fn search(x: *Products, prepared: *Prepared, measures: bool) Error!?Choice {
    var proposals: [proposals_max]Heuristic = undefined;
    const found = try propose(x, prepared, &proposals);
    if (found.len == 0) return null;
    const p = &prepared.product;
    // There are two ways to sums of columns, whose times are compared.
    const is_compared = p.epilogue == Epilogue.sums_a or p.summed_bytes > 0;
    if (!measures or (found.len == 1 and !is_compared)) return choice_of(&found[0]);
    x.gpu.enter();
    const stage: ?Stage = try .make(x, p);
    // Without room to measure, the library's own order decides.
    const ready = stage orelse return choice_of(&found[0]);
    defer ready.free(x.gpu);
    try prepared.descriptors.point(&x.lt, p, ready.at.bias, ready.at.aux);
    var best = try fastest(x, prepared, found, &ready);
    if (best.microseconds > 0) best.microseconds += 1000 * try ready.reading_ms(x, p);
    return best;
}

fn choice_of(proposal: *const Heuristic) Choice {
    return .{ .algorithm = proposal.algorithm, .workspace_bytes = proposal.workspace_bytes };
}

/// Starts a product; the pointers of its epilogue are set.
pub fn run(
    lt: *const CublasLt,
    prepared: *const Prepared,
    at: Addresses,
    workspace: u64,
    stream: Handle,
) lt_file.Status {
    const of = &prepared.descriptors;
    const beta: f32 = if (prepared.product.c == null) 0 else 1;
    return lt.call.cublasLtMatmul(
        lt.handle,
        of.operation,
        &prepared.alpha,
        at.a,
        of.a,
        at.b,
        of.b,
        &beta,
        at.c,
        of.c,
        at.d,
        of.d,
        &prepared.choice.algorithm,
        workspace,
        prepared.choice.workspace_bytes,
        stream,
    );
}

/// The usable ones of what the library proposes, the one it expects most of first.
fn propose(
    x: *Products,
    prepared: *const Prepared,
    into: *[proposals_max]Heuristic,
) Error![]Heuristic {
    const call = &x.lt.call;
    const p = &prepared.product;
    const of = &prepared.descriptors;
    var preference: Handle = null;
    try x.lt.check(call.cublasLtMatmulPreferenceCreate(&preference), "no search", .{});
    defer _ = call.cublasLtMatmulPreferenceDestroy(preference);
    // Sums of partial sums are as exact as f32 only where those are kept in f32.
    const schemes = if (p.d.dtype == .f32) lt_file.reduction_any else lt_file.reduction_in_f32;
    try prefer(x, preference, .workspace_bytes, x.workspace_bytes);
    try prefer(x, preference, .reduction_schemes, schemes);
    try prefer(x, preference, .alignment_a, p.a.alignment);
    try prefer(x, preference, .alignment_b, p.b.alignment);
    try prefer(x, preference, .alignment_c, (p.c orelse p.d).alignment);
    try prefer(x, preference, .alignment_d, p.d.alignment);
    var count: c_int = 0;
    const status = call.cublasLtMatmulAlgoGetHeuristic(
        x.lt.handle,
        of.operation,
        of.a,
        of.b,
        of.c,
        of.d,
        preference,
        proposals_max,
        into,
        &count,
    );
    if (status != lt_file.success) return into[0..0];
    var usable: usize = 0;
    for (into[0..@intCast(@max(0, @min(proposals_max, count)))]) |proposal| {
        if (proposal.state != lt_file.success) continue;
        if (proposal.workspace_bytes > x.workspace_bytes) continue;
        if (p.c != null and !adds_from_elsewhere(x, &proposal.algorithm)) continue;
        into[usable] = proposal;
        usable += 1;
    }
    return into[0..usable];
}

/// Whether the result may lie elsewhere than what is added to it. Those that cannot say so are asked by running them.
fn adds_from_elsewhere(x: *const Products, algorithm: *const lt_file.Algorithm) bool {
    var can: i32 = 1;
    var size: usize = 0;
    const get = x.lt.call.cublasLtMatmulAlgoCapGetAttribute;
    const status = get(algorithm, lt_file.cap_out_of_place, &can, @sizeOf(i32), &size);
    return status != lt_file.success or can != 0;
}

fn prefer(
    x: *Products,
    preference: Handle,
    attribute: lt_file.PreferenceAttribute,
    value: anytype,
) Error!void {
    const set = x.lt.call.cublasLtMatmulPreferenceSetAttribute;
    const status = set(preference, @intFromEnum(attribute), &value, @sizeOf(@TypeOf(value)));
    try x.lt.check(status, "cuBLASLt does not know {s}", .{@tagName(attribute)});
}

fn fastest(
    x: *Products,
    prepared: *Prepared,
    found: []const Heuristic,
    stage: *const Stage,
) Error!Choice {
    var best = choice_of(&found[0]);
    var best_ms: f32 = std.math.inf(f32);
    for (found) |*proposal| {
        prepared.choice = choice_of(proposal);
        // The first time loads code.
        const first_ms = try stage.time(x, prepared, 1) orelse continue;
        const again_ms = try stage.time(x, prepared, 1) orelse continue;
        // Hopeless: not worth more of the start's time.
        if (@min(first_ms, again_ms) > 2 * best_ms) continue;
        const enough = measured_ms / @max(again_ms, 1e-3);
        const repeats: u32 = @intFromFloat(std.math.clamp(enough, 1, repeats_max));
        for (0..rounds) |_| {
            const ms = try stage.time(x, prepared, repeats) orelse break;
            if (ms >= best_ms) continue;
            best_ms = ms;
            best = prepared.choice;
            best.microseconds = ms * 1000;
        }
    }
    return best;
}

/// Memory and events for measuring one product.
const Stage = struct {
    block: u64,
    at: Addresses,
    workspace: u64,
    from: Handle,
    to: Handle,

    const fields = .{ "a", "b", "c", "d", "bias", "aux" };

    /// Null: the GPU does not have the memory.
    fn make(x: *Products, p: *const Product) Error!?Stage {
        const gpu = x.gpu;
        const call = &gpu.driver.call;
        var bytes: u64 = 0;
        var at: Addresses = .{};
        const aux_bytes = if (p.epilogue & Epilogue.aux != 0) p.m * p.n * p.batch * 4 else 0;
        // What is added lies elsewhere than the result: not every algorithm can do that.
        const c_bytes = if (p.c) |c| extent(p, c) else 0;
        const ab_bytes = .{ extent(p, p.a), extent(p, p.b) };
        const sizes = ab_bytes ++ .{ c_bytes, extent(p, p.d), p.n * 4, aux_bytes };
        inline for (fields, sizes) |field, size| {
            @field(at, field) = bytes;
            bytes = std.mem.alignForward(u64, bytes + size, 256);
        }
        const workspace = bytes;
        bytes += x.workspace_bytes;
        var stage: Stage = .{
            .block = 0,
            .at = at,
            .workspace = workspace,
            .from = null,
            .to = null,
        };
        if (call.cuMemAlloc_v2(&stage.block, bytes) != 0) return null;
        errdefer stage.free(gpu);
        inline for (fields) |field| @field(stage.at, field) += stage.block;
        if (p.c == null) stage.at.c = stage.at.d;
        stage.workspace += stage.block;
        try fill(gpu, stage.block, bytes);
        for ([_]*Handle{ &stage.from, &stage.to }) |event|
            try gpu.driver.check(call.cuEventCreate(event, 0), "an event cannot be made", .{});
        return stage;
    }

    fn free(stage: *const Stage, gpu: *Gpu) void {
        for ([_]Handle{ stage.from, stage.to }) |event| {
            if (event != null) _ = gpu.driver.call.cuEventDestroy_v2(event);
        }
        _ = gpu.driver.call.cuStreamSynchronize(gpu.copies);
        _ = gpu.driver.call.cuMemFree_v2(stage.block);
    }

    /// Of the kernel after a product that adds up the columns of its A: what copying half of A takes, which moves as many
    /// bytes.
    fn reading_ms(stage: *const Stage, x: *Products, p: *const Product) Error!f32 {
        const half = p.summed_bytes / 2 & ~@as(u64, 255);
        if (half == 0) return 0;
        const gpu = x.gpu;
        const call = &gpu.driver.call;
        const what = "GPU {d} cannot time a copy";
        const args = .{gpu.ordinal};
        var best = std.math.inf(f32);
        for (0..rounds) |_| {
            try gpu.driver.check(call.cuEventRecord(stage.from, gpu.copies), what, args);
            const a = stage.at.a;
            const copied = call.cuMemcpyDtoDAsync_v2(a, a + half, half, gpu.copies);
            try gpu.driver.check(copied, what, args);
            try gpu.driver.check(call.cuEventRecord(stage.to, gpu.copies), what, args);
            try gpu.driver.check(call.cuStreamSynchronize(gpu.copies), what, args);
            var ms: f32 = 0;
            try gpu.driver.check(call.cuEventElapsedTime(&ms, stage.from, stage.to), what, args);
            best = @min(best, ms);
        }
        return best;
    }

    /// Milliseconds of one run, of `repeats`; null: the algorithm does not run.
    fn time(stage: *const Stage, x: *Products, prepared: *const Prepared, repeats: u32) Error!?f32 {
        const gpu = x.gpu;
        const call = &gpu.driver.call;
        const what = "GPU {d} cannot time a product";
        const args = .{gpu.ordinal};
        try gpu.driver.check(call.cuEventRecord(stage.from, gpu.copies), what, args);
        for (0..repeats) |_| {
            const status = run(&x.lt, prepared, stage.at, stage.workspace, gpu.copies);
            if (status != lt_file.success) return null;
        }
        try gpu.driver.check(call.cuEventRecord(stage.to, gpu.copies), what, args);
        try gpu.driver.check(call.cuStreamSynchronize(gpu.copies), what, args);
        var ms: f32 = 0;
        try gpu.driver.check(call.cuEventElapsedTime(&ms, stage.from, stage.to), what, args);
        return ms / @as(f32, @floatFromInt(repeats));
    }
};

/// Fills memory with numbers as random as those of a training: products of equal ones would run at clocks that it never sees.
fn fill(gpu: *Gpu, at: u64, bytes: u64) Error!void {
    const piece = try gpu.claim(@min(bytes, noise_bytes));
    var random: std.Random.DefaultPrng = .init(0);
    random.random().bytes(piece);
    // Both as f32 and as two bf16 a number around 0.01: random bits could be infinities.
    for (std.mem.bytesAsSlice(u16, piece[0 .. piece.len & ~@as(usize, 1)])) |*word|
        word.* = word.* & 0x807f | 0x3c00;
    var done: u64 = piece.len;
    try gpu.send(at, piece);
    while (done < bytes) {
        const n = @min(done, bytes - done);
        try gpu.copy(at + done, at, n);
        done += n;
    }
}

/// Bytes from the first element of the first matrix to the last one of the last.
fn extent(p: *const Product, of: Matrix) u64 {
    const last = (p.batch - 1) * of.batch_stride + (of.columns - 1) * of.leading + of.rows;
    return last * @as(u64, if (of.dtype == .f32) 4 else 2);
}
