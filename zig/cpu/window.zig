//! The window of dynamic_slice and dynamic_update: starts are data, read once and checked before anything moves.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("kernel.zig");
const expect = @import("expect.zig");
const strided = @import("strided.zig");

const Operand = abi.Operand;

/// Why `part` cannot be a window of `whole`, or null.
pub fn problem(whole: *const Operand, part: *const Operand, starts: *const Operand) ?[*:0]const u8 {
    if (!strided.is_dense(whole) or !strided.is_dense(part)) return "window: not contiguous";
    if (whole.dtype != part.dtype or whole.rank != part.rank)
        return "window: operands differ in dtype or rank";
    if (!expect.dense_index(starts) or starts.count() != whole.rank)
        return "window: the starts are not contiguous i32 or u32, one per dim";
    for (whole.dims[0..whole.rank], part.dims[0..whole.rank]) |size, wanted|
        if (wanted > size) return "window: larger than the whole";
    return null;
}

/// Offset in elements of the window's first element, or null after reporting a start that is out of range.
pub fn offset(
    t: *kernel.Thread,
    ins: *const abi.Instruction,
    whole: *const Operand,
    part: *const Operand,
    starts: *const Operand,
) ?u64 {
    var at: u64 = 0;
    for (0..whole.rank) |d| {
        const start = expect.index_at(starts, d);
        if (start < 0 or start + part.dims[d] > whole.dims[d]) {
            t.fail(ins, .index_out_of_range, d, start);
            return null;
        }
        at += @as(u64, @intCast(start)) * row_major_stride(whole, d);
    }
    return at;
}

fn row_major_stride(o: *const Operand, d: usize) u64 {
    var step: u64 = 1;
    for (o.dims[d + 1 .. o.rank]) |size| step *= size;
    return step;
}
