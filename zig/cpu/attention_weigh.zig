//! From the scores of a strip of queries to weights: running maximum, running sum, and what older sums count now.
const std = @import("std");
const block = @import("attention_block.zig");
const rows = @import("rows.zig");

const F = block.F;
const lanes = block.lanes;

pub const Strip = struct {
    /// [strip][block_keys], weights afterwards.
    scores: [*]f32,
    highest: [*]f32,
    sums: [*]f32,
    /// What older sums of each row count now.
    factor: *align(64) [lanes]f32,
};

/// The number of columns is known when compiling where that is a few vectors, so that they stay in registers.
pub fn columns(comptime height: u32, comptime bf16: bool, w: Strip, count: u64) void {
    @setEvalBranchQuota(20000);
    switch (count) {
        inline 1...4 => |n| weigh(height, bf16, w, n),
        else => weigh(height, bf16, w, count),
    }
}

/// Turns scores into weights and updates the rows' maxima and sums.
inline fn weigh(comptime height: u32, comptime bf16: bool, w: Strip, count: u64) void {
    const low: F = @splat(-std.math.inf(f32));
    var tops: [lanes]f32 align(64) = @splat(-std.math.inf(f32));
    inline for (0..height) |i| {
        var top = low;
        for (0..count) |column|
            top = rows.max2(block.load(w.scores + i * block.block_keys + column * lanes), top);
        tops[i] = rows.max_lanes(top);
    }
    const old = block.load(w.highest);
    const new = rows.max2(block.load(&tops), old);
    block.store(w.highest, new);
    // A row that has seen nothing yet keeps weights of 0 relative to 0.
    const base = @select(f32, new == low, @as(F, @splat(0)), new);
    block.store(w.factor, block.exp2_negative(old - base));
    block.store(&tops, base);
    inline for (0..height) |i| {
        const shift: F = @splat(tops[i]);
        var sum = block.load(w.sums + i * lanes) * @as(F, @splat(w.factor[i]));
        for (0..count) |column| {
            const at = w.scores + i * block.block_keys + column * lanes;
            const weight = block.exp2_negative(block.load(at) - shift);
            sum += weight;
            block.store(at, if (bf16) block.round_bf16(weight) else weight);
        }
        block.store(w.sums + i * lanes, sum);
    }
}
