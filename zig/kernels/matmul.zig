//! matmul: the operands of the instruction as a problem for cpu/gemm.zig. An optional workspace
//! holds packed rows of A; without one every thread packs for itself, a little slower.
const std = @import("std");
const abi = @import("../abi.zig");
const gemm = @import("../cpu/gemm.zig");
const kernel = @import("../cpu/kernel.zig");
const simd = @import("../cpu/simd.zig");

const Flag = abi.MatmulFlag;
const Instruction = abi.Instruction;
const Operand = abi.Operand;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .matmul, .run = run, .check = check, .scratch = scratch },
};

/// Positions of the optional operands.
const Operands = struct {
    bias: ?*const Operand = null,
    residual: ?*const Operand = null,
    aux_in: ?*const Operand = null,
    out: *const Operand,
    aux_out: ?*const Operand = null,
    sums: ?*const Operand = null,
    count: u32,

    fn of(ins: *const Instruction) Operands {
        const flags = ins.word(0);
        var next: u32 = 2;
        var o: Operands = .{ .out = undefined, .count = 0 };
        inline for (.{
            .{ "bias", Flag.bias },
            .{ "residual", Flag.residual },
            .{ "aux_in", Flag.activation_grad },
        }) |entry| {
            if (flags & entry[1] != 0) {
                @field(o, entry[0]) = &ins.operands[next];
                next += 1;
            }
        }
        o.out = &ins.operands[next];
        next += 1;
        if (flags & Flag.save_aux != 0) {
            o.aux_out = &ins.operands[next];
            next += 1;
        }
        if (flags & Flag.column_sums != 0) {
            o.sums = &ins.operands[next];
            next += 1;
        }
        o.count = next;
        return o;
    }
};

fn check(ins: *const Instruction) callconv(.c) ?[*:0]const u8 {
    if (ins.word_count != 4) return "expected 4 words";
    const flags = ins.word(0);
    if (flags & ~Flag.all != 0) return "unknown flags";
    if (ins.word(1) > 1) return "unknown compute type";
    if (ins.word(2) > @intFromEnum(abi.Activation.silu)) return "unknown activation";
    const o = Operands.of(ins);
    if (ins.operand_count != o.count + ins.has_workspace) return "wrong number of operands";
    const a = ins.operand(0);
    const b = ins.operand(1);
    if (a.rank != 3 or b.rank != 3) return "A and B must have rank 3";
    if (!simd.is_float(a.dtype) or !simd.is_float(b.dtype)) return "A and B must be f32 or bf16";
    if (a.dims[0] != b.dims[0]) return "batch of A and B differs";
    if (a.dims[2] != b.dims[1]) return "contracted dims of A and B differ";
    const dims = [3]u32{ a.dims[0], a.dims[1], b.dims[2] };
    if (o.bias) |bias| {
        if (bias.dtype != .f32 or !bias.is_contiguous() or bias.count() != dims[2])
            return "bias must be contiguous f32 [N]";
    }
    if (!has_dims(o.out, dims)) return "result must be [batch, M, N]";
    if (!simd.is_float(o.out.dtype)) return "result must be f32 or bf16";
    if (dims[2] > 1 and o.out.strides[2] != 1) return "last dim of the result must be contiguous";
    if (overlaps(o.out)) return "rows of the result must not overlap";
    if (o.residual) |r| {
        if (!has_dims(r, dims) or !r.is_contiguous() or !simd.is_float(r.dtype))
            return "residual must be contiguous float [batch, M, N]";
    }
    inline for (.{ o.aux_in, o.aux_out }) |aux| {
        if (aux) |x| {
            if (!has_dims(x, dims) or !x.is_contiguous() or x.dtype != .f32)
                return "aux must be contiguous f32 [batch, M, N]";
        }
    }
    if (o.sums) |sums| {
        if (dims[0] != 1) return "sums of columns need one B";
        if (sums.dtype != .f32 or !sums.is_contiguous() or sums.count() != dims[2])
            return "sums must be contiguous f32 [N]";
    }
    return check_workspace(ins);
}

fn check_workspace(ins: *const Instruction) ?[*:0]const u8 {
    if (ins.has_workspace == 0) return null;
    const w = ins.workspace();
    if (!w.is_contiguous()) return "workspace must be contiguous";
    if (@intFromPtr(w.data) % 64 != 0) return "workspace must be aligned to 64 bytes";
    return null;
}

/// Also bounds the number of results by the size of their buffer, since broadcast dims of A and B
/// could be of any size.
fn overlaps(out: *const Operand) bool {
    const m: u64 = out.dims[1];
    const n: u64 = out.dims[2];
    if (m > 1 and out.strides[1] < n) return true;
    if (out.dims[0] > 1 and out.strides[0] / m < @max(n, out.strides[1])) return true;
    // Claims count tiles of at least 32 x 16 in 32 bits.
    const tiles = @as(u128, out.dims[0]) * ((m + 31) / 32) * ((n + 15) / 16);
    return tiles > std.math.maxInt(u32);
}

fn has_dims(o: *const Operand, dims: [3]u32) bool {
    return o.rank == 3 and std.mem.eql(u32, o.dims[0..3], &dims);
}

fn workspace_of(ins: *const Instruction) []align(64) u8 {
    if (ins.has_workspace == 0) return &.{};
    const w = ins.workspace();
    return @as([*]align(64) u8, @alignCast(w.data))[0 .. w.count() * abi.dtype_bytes(w.dtype)];
}

fn problem_of(ins: *const Instruction) gemm.Problem {
    const o = Operands.of(ins);
    const flags = ins.word(0);
    const a = ins.operand(0);
    const b = ins.operand(1);
    const m: usize = a.dims[1];
    const n: usize = b.dims[2];
    const applies = flags & (Flag.activation | Flag.activation_grad) != 0;
    var p: gemm.Problem = .{
        .batch = a.dims[0],
        .m = m,
        .n = n,
        .k = a.dims[2],
        .a = side(a, 2, 1),
        .b = side(b, 1, 2),
        .rounds = ins.word(1) == 1,
        .out = .{
            .data = o.out.data,
            .dtype = o.out.dtype,
            .stride = o.out.strides[1],
            .alpha = ins.float(3),
            .activation = if (applies) @enumFromInt(ins.word(2)) else .none,
            .aux_stride = n,
            .residual_stride = n,
        },
        .out_batch = o.out.strides[0],
        .aux_batch = m * n,
        .residual_batch = m * n,
        .workspace = workspace_of(ins),
    };
    if (o.bias) |x| p.out.bias = x.ptr(f32);
    if (o.aux_in) |x| p.out.aux_in = x.ptr(f32);
    if (o.aux_out) |x| p.out.aux_out = x.ptr(f32);
    if (o.residual) |x| {
        p.out.residual = x.data;
        p.out.residual_dtype = x.dtype;
    }
    return merge_batch(p);
}

fn side(o: *const Operand, k_dim: usize, v_dim: usize) gemm.Side {
    return .{
        .data = o.data,
        .dtype = o.dtype,
        .batch_stride = o.strides[0],
        .k_stride = o.strides[k_dim],
        .v_stride = o.strides[v_dim],
    };
}

/// One B for the whole batch and rows of A that follow each other: a single taller product.
fn merge_batch(p: gemm.Problem) gemm.Problem {
    const same_b = p.b.batch_stride == 0;
    const rows_follow = p.a.batch_stride == p.m * p.a.v_stride;
    const results_follow = p.out_batch == p.m * p.out.stride;
    if (p.batch <= 1 or !same_b or !rows_follow or !results_follow) return p;
    var merged = p;
    merged.m = p.batch * p.m;
    merged.batch = 1;
    return merged;
}

fn scratch(ins: *const Instruction) callconv(.c) u64 {
    const p = problem_of(ins);
    return gemm.scratch_bytes(&p);
}

fn run(t: *kernel.Thread, ins: *const Instruction) callconv(.c) void {
    const p = problem_of(ins);
    gemm.run(t, &p);
    const sums = Operands.of(ins).sums orelse return;
    t.barrier();
    sum_columns(t, ins.operand(1), sums.ptr(f32));
}

/// Only a GPU's programs have it in one instruction with a product, so it is not fast here.
fn sum_columns(t: *kernel.Thread, b: *const Operand, out: [*]f32) void {
    const columns = b.dims[2];
    while (t.claim(columns)) |column| {
        var sum: f64 = 0;
        for (0..b.dims[1]) |row| {
            const at = row * b.strides[1] + column * b.strides[2];
            sum += switch (b.dtype) {
                .bf16 => simd.f32_from_bf16(b.ptr(u16)[at]),
                else => b.ptr(f32)[at],
            };
        }
        out[column] = @floatCast(sum);
    }
}
