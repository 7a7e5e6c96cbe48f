//! Launches of `map` and `map_reduce`. The bytecode is translated: values get slots, which those share that are not
//! needed at the same time, and every input gets a word that says how it is read. See cuda/bytecode.h.
const std = @import("std");
const abi = @import("../abi.zig");
const map_ops = @import("../cpu/map_ops.zig");
const launches = @import("launches.zig");

const Instruction = abi.Instruction;
const Operand = abi.Operand;
const Part = launches.Part;
const Plan = launches.Plan;
const products_file = @import("products.zig");

/// As the defines of cuda/bytecode.h.
const slot_constant = 64;
const slot_none = 255;

const inputs_max = 8;
const instructions_max = 32;
const results_max = 4;
const slots_max = inputs_max + instructions_max;
/// Numbers of registers of zig/abi.zig.
const first_constant = 8;
const first_result = 64;

/// Slots with four elements a thread that fit into the shared memory that every block may have.
const quad_slots = 11;
const quad_slot_bytes = launches.threads * 16;
const single_slot_bytes = launches.threads * 4;

/// As `Access` of cuda/map.cu.
const Access = enum(u32) { flat, scalar, row, row_repeated, anywhere };

/// Longest row that a warp reduces.
const reduce_wide = 2048;
/// Elements, or rows of columns, that a slice has at least.
const slice_elements = 16384;
const slice_rows = 64;
/// Blocks that slices may make: four on each multiprocessor of an H100.
const slice_blocks = 528;
const reduced_columns = 128;
const joined_results = 32;
/// Results that a thread joins beside its own slots: shared memory of the joining.
const join_bytes = launches.threads * 4 * 8;

const Code = struct {
    words: [512]u32 = undefined,
    len: usize = 0,
    slots: u32 = 0,

    fn put(c: *Code, word: u32) void {
        c.words[c.len] = word;
        c.len += 1;
    }

    fn all(c: *const Code) []const u32 {
        return c.words[0..c.len];
    }
};

/// Slots of values by their register numbers.
const Slots = struct {
    /// Instruction that reads a value last; values that nobody reads are dead at once.
    last_use: [256]u32 = @splat(0),
    slot_of: [256]u8 = @splat(slot_none),
    free: [slots_max]bool = @splat(true),
    count: u32 = 0,

    fn take(s: *Slots, register: u32) void {
        const slot = for (s.free, 0..) |is_free, i| {
            if (is_free) break i;
        } else unreachable;
        s.free[slot] = false;
        s.slot_of[register] = @intCast(slot);
        s.count = @max(s.count, @as(u32, @intCast(slot)) + 1);
    }

    fn drop(s: *Slots, register: u32, k: u32) void {
        if (is_constant(register) or s.last_use[register] > k) return;
        s.free[s.slot_of[register]] = true;
    }

    fn operand(s: *const Slots, register: u32) u32 {
        return if (is_constant(register))
            slot_constant + register - first_constant
        else
            s.slot_of[register];
    }
};

fn is_constant(register: u32) bool {
    return register >= first_constant and register < first_result;
}

/// `words`: of a checked `map`.
fn translate(c: *Code, words: []const u32) void {
    const inputs = words[0];
    const constants = words[4..][0..words[2]];
    const code = words[4 + words[2] ..][0..words[3]];
    const results = words[4 + words[2] + words[3] ..][0..words[1]];
    var slots: Slots = .{};
    for (code, 0..) |word, k| {
        for (registers_of(&word)) |register| slots.last_use[register] = @intCast(k);
    }
    for (results) |register| slots.last_use[register] = instructions_max;
    for (words[0..4]) |word| c.put(word);
    for (constants) |bits| c.put(bits);
    for (0..inputs) |register| slots.take(@intCast(register));
    for (code, 0..) |word, k| {
        const registers = registers_of(&word);
        var operands = [3]u32{ slot_none, slot_none, slot_none };
        for (operands[0..registers.len], registers) |*to, register| to.* = slots.operand(register);
        // A thread has read its operands before it writes the result.
        for (registers) |register| slots.drop(register, @intCast(k));
        const result = first_result + @as(u32, @intCast(k));
        slots.take(result);
        c.put(word & 255 | operands[0] << 8 | operands[1] << 16 | operands[2] << 24);
        c.put(slots.slot_of[result]);
        slots.drop(result, @intCast(k));
    }
    for (results) |register| c.put(slots.operand(register));
    c.slots = slots.count;
}

fn registers_of(word: *const u32) []const u8 {
    const bytes = std.mem.asBytes(word);
    const op: abi.MapOp = @enumFromInt(bytes[0]);
    return bytes[1..][0..map_ops.arity(op)];
}

pub fn map(p: *Plan, ins: *const Instruction) !void {
    const words = ins.words[0..ins.word_count];
    const inputs = words[0];
    const result = ins.operand(inputs);
    var code: Code = .{};
    translate(&code, words);
    const quads = code.slots <= quad_slots;
    for (ins.operands[0..inputs]) |*o| code.put(@intFromEnum(access_of(o, quads)));
    const count = if (quads) (result.count() + 3) / 4 else result.count();
    try p.all(if (quads) .map else .map_single, ins, launches.elements_of(count), code.all());
    p.last_launch().block.shared_bytes = code.slots *
        @as(u32, if (quads) quad_slot_bytes else single_slot_bytes);
}

fn access_of(o: *const Operand, quads: bool) Access {
    var repeats = true;
    for (o.dims[0..o.rank], o.strides[0..o.rank]) |dim, stride|
        repeats = repeats and (dim == 1 or stride == 0);
    if (repeats) return .scalar;
    if (o.is_contiguous()) return .flat;
    if (quads and launches.last(o) % 4 != 0) return .anywhere;
    return switch (o.strides[o.rank - 1]) {
        0 => .row_repeated,
        1 => .row,
        else => .anywhere,
    };
}

const Shape = enum { columns, rows, any };

pub fn map_reduce(p: *Plan, ins: *const Instruction) !void {
    const words = ins.words[0..ins.word_count];
    const result = ins.operand(words[2]);
    var code: Code = .{};
    for ([_]u32{ words[0], words[1], 1 }) |word| code.put(word);
    translate(&code, words[2..]);
    const shape = if (code.slots <= quad_slots) shape_of(ins, words[1]) else .any;
    const x = ins.operand(0);
    const length = x.count() / @max(1, result.count());
    var grid = switch (shape) {
        .columns => [3]u32{ launches.ceil(launches.last(x), reduced_columns), 1, 1 },
        .rows, .any => if (length > reduce_wide)
            launches.rows(result.count())
        else
            launches.warps(result.count()),
    };
    if (shape == .columns or length > reduce_wide) grid[1] = slices_of(ins, shape, grid[0], length);
    code.words[2] = grid[1];
    try p.all(switch (shape) {
        .columns => if (is_plain_sum(p, ins)) .sum_columns else .map_reduce_columns,
        .rows => .map_reduce_rows,
        .any => .map_reduce_any,
    }, ins, grid, code.all());
    const slot_bytes: u32 = if (shape == .any) single_slot_bytes else quad_slot_bytes;
    p.last_launch().block.shared_bytes = @max(join_bytes, code.slots * slot_bytes);
    if (grid[1] == 1) return;
    const joins = .{ launches.ceil(result.count(), joined_results), 1, 1 };
    try p.all(.map_reduce_join, ins, joins, code.all());
}

/// Whether the rows of a matrix are floats that are added up as they are and can be read four at a time.
fn is_plain_sum(p: *const Plan, ins: *const Instruction) bool {
    const kind = ins.word(0);
    const inputs = ins.word(2);
    const instructions = ins.word(5);
    return kind == 0 and inputs == 1 and instructions == 0 and in_quads(p, launches.part(ins, 0));
}

fn in_quads(p: *const Plan, of: Part) bool {
    const o = &of.view;
    if (o.rank != 2 or (o.dtype != .f32 and o.dtype != .bf16) or o.strides[1] != 1) return false;
    return o.dims[1] % 4 == 0 and o.strides[0] % 4 == 0 and
        p.alignment(of) >= 4 * abi.dtype_bytes(o.dtype);
}

/// Sums of the columns of B [1, K, N] into f32 [N], as a `map_reduce` without a workspace of its own: slices lie in what
/// cuBLASLt's products work in.
pub fn sum_columns(p: *Plan, b: Part, sums: Part) !void {
    var matrix = b;
    matrix.view.rank = 2;
    matrix.view.dims[0..2].* = b.view.dims[1..3].*;
    matrix.view.strides[0..2].* = b.view.strides[1..3].*;
    const rows = matrix.view.dims[0];
    const columns = matrix.view.dims[1];
    var code: Code = .{};
    for ([_]u32{ 0, 1, 1 }) |word| code.put(word);
    translate(&code, &.{ 1, 1, 0, 0, 0 });
    const dense = columns == 1 or matrix.view.strides[1] == 1;
    if (!dense) {
        const wide = rows > reduce_wide;
        const grid = if (wide) launches.rows(columns) else launches.warps(columns);
        return p.some(.map_reduce_any, grid, &.{ matrix, sums }, code.all());
    }
    const blocks = launches.ceil(columns, reduced_columns);
    const room = if (p.products) |products| products.workspace_bytes / 8 / columns else 0;
    const slices: u32 = @intCast(@max(1, @min(slice_blocks / blocks, room, rows / slice_rows)));
    code.words[2] = slices;
    var slots = sums;
    slots.index = launches.device_scratch;
    slots.offset = products_file.bias_bytes;
    const all = [_]Part{ matrix, sums, slots };
    const parts = all[0..if (slices > 1) 3 else 2];
    const kernel: launches.Kernel = if (in_quads(p, matrix)) .sum_columns else .map_reduce_columns;
    try p.some(kernel, .{ blocks, slices, 1 }, parts, code.all());
    p.last_launch().block.shared_bytes = @max(join_bytes, quad_slot_bytes);
    if (slices == 1) return;
    const joins = .{ launches.ceil(columns, joined_results), 1, 1 };
    try p.some(.map_reduce_join, joins, parts, code.all());
}

/// Whether all inputs are a matrix, or a vector, whose rows can be read four elements at a time.
fn shape_of(ins: *const Instruction, mask: u32) Shape {
    const first = ins.operand(0);
    if (first.rank == 0 or first.rank > 2) return .any;
    for (ins.operands[0..ins.word(2)]) |*o| {
        const stride = o.strides[o.rank - 1];
        if (launches.last(o) != 1 and stride > 1) return .any;
    }
    if (mask == @as(u32, 1) << @intCast(first.rank - 1)) return .rows;
    return if (mask == 1) .columns else .any;
}

/// Into how many parts the elements of each result are cut: as many as there is room for what they leave.
fn slices_of(ins: *const Instruction, shape: Shape, blocks: u32, length: u64) u32 {
    if (shape == .any or ins.has_workspace == 0) return 1;
    if (@intFromPtr(ins.workspace().data) % 8 != 0) return 1;
    const results = ins.operand(ins.word(2)).count();
    const room = ins.workspace().count() / 2 / results;
    const least: u64 = if (shape == .columns) slice_rows else slice_elements;
    return @intCast(@max(1, @min(slice_blocks / blocks, room, length / least)));
}

const testing = std.testing;

test "values that are not needed at the same time share a slot" {
    // ((a + b) * a) * c0, and the sum itself.
    const add: u32 = @intFromEnum(abi.MapOp.add);
    const mul: u32 = @intFromEnum(abi.MapOp.mul);
    const counts = [_]u32{ 2, 2, 1, 3 };
    const half = [_]u32{0x3f000000};
    const body = [_]u32{
        add | 0 << 8 | 1 << 16,
        mul | 64 << 8 | 0 << 16,
        mul | 65 << 8 | 8 << 16,
    };
    var code: Code = .{};
    translate(&code, &(counts ++ half ++ body ++ [_]u32{ 66, 64 }));
    try testing.expectEqual(2, code.slots);
    const none: u32 = slot_none << 24;
    const translated = [_]u32{
        add | 0 << 8 | 1 << 16 | none,             1,
        mul | 1 << 8 | 0 << 16 | none,             0,
        mul | 0 << 8 | slot_constant << 16 | none, 0,
    };
    const expected = counts ++ half ++ translated ++ [_]u32{ 0, 1 };
    try testing.expectEqualSlices(u32, &expected, code.all());
}
