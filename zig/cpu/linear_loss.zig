//! Shared by linear_cross_entropy and its gradient: rows are taken in chunks, whose logits x.w^T live in the shared
//! workspace only. Workspace: logits of one chunk ([rows, V] f32, rounded up to 64 bytes), then what is left is packing
//! space for the products (more of it is faster, none is fine).
const std = @import("std");
const abi = @import("../abi.zig");
const gemm = @import("gemm.zig");
const kernel = @import("kernel.zig");
const rows = @import("rows.zig");
const simd = @import("simd.zig");

const Instruction = abi.Instruction;

fn side(data: [*]const u8, dtype: abi.Dtype, k_stride: usize, v_stride: usize) gemm.Side {
    return .{
        .data = data,
        .dtype = dtype,
        .batch_stride = 0,
        .k_stride = k_stride,
        .v_stride = v_stride,
    };
}

pub const Loss = struct {
    ins: *const Instruction,
    m: usize,
    c: usize,
    v: usize,
    chunk: usize,
    rounds: bool,

    pub fn of(ins: *const Instruction) Loss {
        const x = ins.operand(0);
        return .{
            .ins = ins,
            .m = kernel.row_count(x),
            .c = x.dim_last(0),
            .v = ins.operand(1).dims[0],
            .chunk = @min(ins.word(1), kernel.row_count(x)),
            .rounds = ins.word(0) == 1,
        };
    }

    fn logit_bytes(l: *const Loss) usize {
        return std.mem.alignForward(usize, l.chunk * l.v * 4, 64);
    }

    pub fn logits(l: *const Loss) [*]f32 {
        return l.ins.workspace().ptr(f32);
    }

    fn packing(l: *const Loss) []align(64) u8 {
        const w = l.ins.workspace();
        const bytes = w.count() * 4 - l.logit_bytes();
        return @as([*]align(64) u8, @alignCast(w.data + l.logit_bytes()))[0..bytes];
    }

    fn x_at(l: *const Loss, row: usize) [*]u8 {
        const x = l.ins.operand(0);
        return x.data + row * l.c * abi.dtype_bytes(x.dtype);
    }

    fn product(
        l: *const Loss,
        m_n_k: [3]usize,
        a: gemm.Side,
        b: gemm.Side,
        out: [*]f32,
    ) gemm.Problem {
        const m, const n, const k = m_n_k;
        return .{
            .m = m,
            .n = n,
            .k = k,
            .a = a,
            .b = b,
            .rounds = l.rounds,
            .out = .{ .data = @ptrCast(out), .stride = n },
            .workspace = l.packing(),
        };
    }

    /// logits[count, V] = x[row.., C] . w[V, C]^T
    pub fn logits_product(l: *const Loss, row: usize, count: usize) gemm.Problem {
        const x = side(l.x_at(row), l.ins.operand(0).dtype, 1, l.c);
        const w = side(l.ins.operand(1).data, .f32, 1, l.c);
        return l.product(.{ count, l.v, l.c }, x, w, l.logits());
    }

    /// dx[count, C] = dlogits[count, V] . w[V, C]
    pub fn dx_product(l: *const Loss, row: usize, count: usize, dx: [*]f32) gemm.Problem {
        const d = side(@ptrCast(l.logits()), .f32, 1, l.v);
        const w = side(l.ins.operand(1).data, .f32, l.c, 1);
        return l.product(.{ count, l.c, l.v }, d, w, dx + row * l.c);
    }

    /// dw[V, C] = dlogits[count, V]^T . x[row.., C] + base
    pub fn dw_product(
        l: *const Loss,
        row: usize,
        count: usize,
        dw: [*]f32,
        base: ?[*]const f32,
    ) gemm.Problem {
        const d = side(@ptrCast(l.logits()), .f32, l.v, 1);
        const x = side(l.x_at(row), l.ins.operand(0).dtype, l.c, 1);
        var p = l.product(.{ l.v, l.c, count }, d, x, dw);
        if (base) |from| {
            p.out.residual = @ptrCast(from);
            p.out.residual_stride = l.c;
        }
        return p;
    }
};

/// Checks operands 0..2 (x, w, targets) and the words that both ops share.
pub fn check_inputs(ins: *const Instruction) ?[*:0]const u8 {
    const x = ins.operand(0);
    const w = ins.operand(1);
    const targets = ins.operand(2);
    if (!rows.is_rows(x) or !simd.is_float(x.dtype)) return "x must be contiguous f32 or bf16 [M, C]";
    if (w.rank != 2 or w.dtype != .f32 or !rows.is_plain(w)) return "w must be contiguous f32 [V, C]";
    if (w.dims[0] == 0 or w.dims[1] != x.dim_last(0)) return "w must be [V, C] with the C of x";
    const m = kernel.row_count(x);
    if (!simd.is_index(targets.dtype) or !rows.is_plain(targets) or targets.count() != m)
        return "targets must be contiguous i32 or u32 [M]";
    if (ins.word(0) > 1) return "unknown compute type";
    if (ins.word(1) == 0) return "rows per chunk must be at least 1";
    const chunk: u64 = @min(ins.word(1), m);
    const logits = std.math.mul(u64, chunk, w.dims[0]) catch return "too many logits";
    const padded = std.mem.alignForward(u64, logits, 16);
    if (!rows.workspace_holds(ins, padded)) return "the workspace must hold a chunk of logits";
    if (@intFromPtr(ins.workspace().data) % 64 != 0) return "workspace must be aligned to 64 bytes";
    return null;
}
