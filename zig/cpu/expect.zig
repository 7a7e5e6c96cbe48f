//! Conditions on operands that several kernels' `check` share.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("kernel.zig");
const simd = @import("simd.zig");
const strided = @import("strided.zig");

const Operand = abi.Operand;
const Instruction = abi.Instruction;

/// `count` operands, none of them a workspace.
pub fn operands(ins: *const Instruction, count: u32, words: u32) bool {
    return ins.operand_count == count and ins.has_workspace == 0 and ins.word_count == words;
}

pub fn dense_of(o: *const Operand, dtype: abi.Dtype) bool {
    return o.dtype == dtype and strided.is_dense(o);
}

pub fn dense_float(o: *const Operand) bool {
    return simd.is_float(o.dtype) and strided.is_dense(o);
}

/// Indices: contiguous i32 or u32.
pub fn dense_index(o: *const Operand) bool {
    return simd.is_index(o.dtype) and strided.is_dense(o);
}

/// A contiguous result.
pub fn dense_output(o: *const Operand) bool {
    return o.output != 0 and strided.is_dense(o);
}

/// outer ++ inner[skip..] = dims of `o`.
pub fn joined_dims(o: *const Operand, outer: *const Operand, inner: *const Operand, skip: u8) bool {
    if (inner.rank < skip or o.rank != outer.rank + inner.rank - skip) return false;
    return std.mem.eql(u32, o.dims[0..outer.rank], outer.dims[0..outer.rank]) and
        std.mem.eql(u32, o.dims[outer.rank..o.rank], inner.dims[skip..inner.rank]);
}

/// Index `at` of i32 or u32 indices. One read: the memory may change under a hostile program.
pub inline fn index_at(o: *const Operand, at: u64) i64 {
    const bits = @atomicLoad(u32, &o.ptr(u32)[at], .unordered);
    return if (o.dtype == .i32) @as(i32, @bitCast(bits)) else bits;
}

/// Elements of one row of a table [V, ...row].
pub fn row_elements(table: *const Operand) u64 {
    var n: u64 = 1;
    for (table.dims[1..table.rank]) |d| n *= d;
    return n;
}
