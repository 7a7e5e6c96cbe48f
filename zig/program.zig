//! A loaded program: the validated form of the wire format, ready to run without another check. The bytes are
//! untrusted, so every number is checked before it is used; what only a kernel can know (shapes that belong
//! together, sound words) its `check` decides. Two copies of the instructions, one per input slot, differ in
//! the addresses of their operands.
const std = @import("std");
const abi = @import("abi.zig");
const wire = @import("wire.zig");
const failure = @import("failure.zig");
const widened_file = @import("cuda/widened.zig");
const kernel = @import("cpu/kernel.zig");
const Executable = @import("cuda/executable.zig").Executable;
const Lookup = @import("cpu/table.zig").Lookup;

const Error = failure.Error;
const bad = wire.bad;

pub const Buffer = struct {
    kind: wire.BufferKind,
    name: []const u8,
    bytes: u64,
    /// Some operand lies in it, so it must be bound before a run.
    used: bool = false,
};

/// A byte range of a buffer that an operand may touch.
const Extent = struct { start: u64, end: u64 };

pub const Program = struct {
    arena: std.heap.ArenaAllocator,
    name: []const u8,
    buffers: []Buffer,
    /// Per slot; both hold the same instructions.
    instructions: [2][]abi.Instruction,
    operands: [2][]abi.Operand,
    /// Byte offset of each operand in its buffer.
    offsets: []u64,
    extents: []Extent,
    words: []u32,
    functions: []kernel.RunFn,
    scopes: [][]const u8,
    scratch_bytes: u64,
    /// Kernels of a GPU have none.
    uses_scratch: bool,
    /// Elements of the largest operand, a measure of how long the program may take.
    elements_max: u64 = 0,
    /// Handles of what is bound, per slot; 0 is nothing.
    bindings: [2][]i64,
    /// Operand addresses have to be computed again before the next run.
    stale: [2]bool = .{ true, true },
    profile_ns: []u64,
    profiling: bool = false,
    runs: u64 = 0,
    /// The program on a GPU, when its device is one.
    executable: ?*Executable = null,
    /// Ticket of the last run that was submitted.
    last_ticket: u64 = 0,

    /// `uses_scratch` false: for a GPU, whose kernels need none.
    pub fn load(bytes: []const u8, lookup: *const Lookup, uses_scratch: bool) Error!*Program {
        const layout = try wire.Layout.read(bytes);
        const program = allocate(&layout) catch |e|
            return if (e == error.InvalidProgram) error.InvalidProgram else out_of_memory();
        errdefer program.free();
        program.uses_scratch = uses_scratch;
        try program.read_buffers(&layout);
        try program.read_slots(&layout);
        var next_operand: u32 = 0;
        var next_word: u32 = 0;
        for (0..layout.header.instruction_count) |index| {
            const i: u32 = @intCast(index);
            const source = wire.item(wire.Instruction, layout.instructions, i);
            try program.read_instruction(&layout, lookup, i, source, next_operand, next_word);
            next_operand += source.operand_count;
            next_word += source.word_count;
        }
        if (next_operand != layout.header.operand_count or next_word != layout.header.word_count)
            return bad("operands or words that belong to no instruction", .{});
        return program;
    }

    pub fn free(program: *Program) void {
        if (program.executable) |executable| executable.free();
        // The program lies in its own arena, so the arena's state has to leave it first.
        const arena = program.arena;
        arena.deinit();
    }

    pub fn memory_bytes(program: *const Program) u64 {
        return program.arena.queryCapacity();
    }

    /// Points the operands of a slot into the bound buffers, given each buffer's address.
    pub fn resolve(program: *Program, slot: u1, addresses: []const ?[*]u8) void {
        std.debug.assert(addresses.len == program.buffers.len);
        for (program.operands[slot], program.offsets) |*operand, offset| {
            operand.data = addresses[operand.buffer].? + offset;
        }
        program.stale[slot] = false;
    }

    pub fn place(
        program: *const Program,
        instruction: u32,
        position: u64,
        value: i64,
    ) failure.Place {
        const ins = &program.instructions[0][instruction];
        return .{
            .program = program.name,
            .instruction = instruction,
            .node = ins.node,
            .kernel = @tagName(ins.opcode),
            .scope = program.scopes[instruction],
            .position = position,
            .value = value,
        };
    }

    fn read_buffers(program: *Program, layout: *const wire.Layout) Error!void {
        var singles: [4]u32 = @splat(0);
        for (program.buffers, 0..) |*buffer, i| {
            const source = wire.item(wire.Buffer, layout.buffers, i);
            const kind = std.enums.fromInt(wire.BufferKind, source.kind) orelse
                return bad("buffer {d} is of kind {d}", .{ i, source.kind });
            if (source.reserved != 0) return bad("buffer {d} has a reserved field set", .{i});
            if (source.bytes > wire.buffer_bytes_max)
                return bad("buffer {d} has {d} bytes", .{ i, source.bytes });
            singles[@intFromEnum(kind)] += 1;
            if (kind != .state and singles[@intFromEnum(kind)] > 1)
                return bad("more than one {s} buffer", .{@tagName(kind)});
            buffer.* = .{
                .kind = kind,
                .name = try program.copy_text(layout, source.name),
                .bytes = source.bytes,
            };
        }
    }

    fn read_slots(program: *Program, layout: *const wire.Layout) Error!void {
        for (0..layout.header.slot_count) |i| {
            const slot = wire.item(wire.Slot, layout.slots, i);
            if (slot.direction > 1 or slot.reserved != 0) return bad("slot {d} is malformed", .{i});
            const dtype = try read_dtype(slot.dtype);
            const count = try element_count(slot.rank, &slot.dims);
            _ = try layout.text_of(slot.name);
            const kind: wire.BufferKind = if (slot.direction == 0) .input else .output;
            const bytes = for (program.buffers) |buffer| {
                if (buffer.kind == kind) break buffer.bytes;
            } else 0;
            const size = count * abi.dtype_bytes(dtype);
            if (slot.offset > bytes or size > bytes - slot.offset)
                return bad("slot {d} lies outside the {s} buffer", .{ i, @tagName(kind) });
        }
    }

    fn read_instruction(
        program: *Program,
        layout: *const wire.Layout,
        lookup: *const Lookup,
        index: u32,
        source: wire.Instruction,
        first_operand: u32,
        first_word: u32,
    ) Error!void {
        const opcode = std.enums.fromInt(abi.Opcode, source.opcode) orelse
            return bad("instruction {d} has unknown opcode {d}", .{ index, source.opcode });
        const name = @tagName(opcode);
        const entry = lookup.find(opcode) orelse
            return failure.raise(error.Unsupported, "this library has no kernel for {s}", .{name});
        if (source.operand_count == 0 or source.operand_count > wire.instruction_operands_max)
            return bad("instruction {d} ({s}) has {d} operands", .{ index, name, source.operand_count });
        if (source.operand_count > layout.header.operand_count - first_operand or
            source.word_count > layout.header.word_count - first_word)
            return bad("instruction {d} ({s}) has more operands or words than there are", .{ index, name });
        if (source.flags & ~wire.flag_workspace != 0)
            return bad("instruction {d} ({s}) has unknown flags", .{ index, name });

        for (first_operand..first_operand + source.operand_count) |k| {
            program.read_operand(layout, @intCast(k)) catch |e|
                return explain_operand(e, index, name, k - first_operand);
        }
        for (program.words[first_word..][0..source.word_count], first_word..) |*word, k| {
            word.* = wire.item(u32, layout.words, k);
        }
        program.scopes[index] = try program.copy_text(layout, source.scope);
        program.functions[index] = entry.run;
        for (0..2) |slot| program.instructions[slot][index] = .{
            .opcode = opcode,
            .operand_count = source.operand_count,
            .word_count = source.word_count,
            .operands = program.operands[slot].ptr + first_operand,
            .words = program.words.ptr + first_word,
            .node = source.node,
            .has_workspace = source.flags & wire.flag_workspace,
        };
        try program.check_instruction(index, entry, first_operand);
    }

    /// What concerns the operands together; the last word is the kernel's.
    fn check_instruction(
        program: *Program,
        index: u32,
        entry: *const kernel.Kernel,
        first: u32,
    ) Error!void {
        const ins = &program.instructions[0][index];
        const name = @tagName(ins.opcode);
        const operands = ins.operands[0..ins.operand_count];
        for (operands[0 .. operands.len - 1], operands[1..]) |left, right| {
            if (left.output == 1 and right.output == 0)
                return bad("instruction {d} ({s}) has an input after a result", .{ index, name });
        }
        if (ins.has_workspace == 1) {
            const last = ins.workspace();
            const kind = program.buffers[last.buffer].kind;
            const sound = last.output == 1 and last.dtype == .u32 and last.is_contiguous();
            if (!sound or kind != .arena)
                return bad("instruction {d} ({s}) has a malformed workspace", .{ index, name });
        }
        const declared = result_count(ins) orelse
            return bad("instruction {d} ({s}) has too few words", .{ index, name });
        var found: u64 = 0;
        for (operands[0 .. operands.len - ins.has_workspace]) |operand| found += operand.output;
        if (found != declared)
            return bad("instruction {d} ({s}) has {d} results instead of {d}", .{ index, name, found, declared });
        if (index_operand(ins.opcode)) |which| {
            if (which < operands.len and operands[which].output == 0)
                try program.check_apart(index, first, which);
        }
        if (program.unsound(entry, ins)) |reason|
            return bad("instruction {d} ({s}): {s}", .{ index, name, reason });
        if (!program.uses_scratch) return;
        const scratch = if (entry.scratch) |needed| needed(ins) else 0;
        if (scratch > program.scratch_bytes)
            return bad(
                "instruction {d} ({s}) needs {d} bytes of scratch, the program declares {d}",
                .{ index, name, scratch, program.scratch_bytes },
            );
    }

    /// What the kernel has against an instruction. A GPU's kernels take more than the CPU's, whose check this is (see
    /// zig/cuda/widened.zig), and may have a workspace where those have none, or another one; zig/cuda/launches.zig sees to
    /// its size.
    fn unsound(
        program: *const Program,
        entry: *const kernel.Kernel,
        ins: *const abi.Instruction,
    ) ?[*:0]const u8 {
        const reason = entry.check(ins) orelse return null;
        if (program.uses_scratch) return reason;
        var operands: [widened_file.operands_max]abi.Operand = undefined;
        var plain = widened_file.widened(ins, &operands) orelse ins.*;
        if (entry.check(&plain) == null) return null;
        const named: u16 = @intCast(ins.operand_count - ins.has_workspace);
        if (ins.has_workspace == 1) {
            plain.operand_count = named;
            plain.has_workspace = 0;
            if (entry.check(&plain) == null) return null;
        }
        if (!only_cpu_needs_workspace(ins.opcode) or named >= operands.len) return reason;
        const given = plain.operands[0..named];
        if (given.ptr != &operands) @memcpy(operands[0..named], given);
        operands[named] = large_workspace;
        plain.operands = &operands;
        plain.operand_count = named + 1;
        plain.has_workspace = 1;
        return entry.check(&plain);
    }

    /// Kernels check indices before they use them; nothing of the same instruction may write to them in between.
    fn check_apart(program: *const Program, index: u32, first: u32, which: u32) Error!void {
        const ins = &program.instructions[0][index];
        const indices = program.extents[first + which];
        for (ins.operands[0..ins.operand_count], first..) |operand, k| {
            if (operand.output == 0 or operand.buffer != ins.operands[which].buffer) continue;
            const extent = program.extents[k];
            if (extent.start < indices.end and indices.start < extent.end)
                return bad("instruction {d} ({s}) writes over its own indices", .{ index, @tagName(ins.opcode) });
        }
    }

    fn read_operand(program: *Program, layout: *const wire.Layout, k: u32) Error!void {
        const source = wire.item(wire.Operand, layout.operands, k);
        if (source.buffer >= program.buffers.len)
            return bad("buffer {d} does not exist", .{source.buffer});
        const buffer = &program.buffers[source.buffer];
        const dtype = try read_dtype(source.dtype);
        const count = try element_count(source.rank, &source.dims);
        if (source.output > 1 or source.reserved != 0) return bad("malformed flags", .{});
        if (source.output == 1 and buffer.kind == .input)
            return bad("writes to the input buffer", .{});
        const size = abi.dtype_bytes(dtype);
        if (source.offset % size != 0) return bad("offset {d} is not aligned", .{source.offset});

        // Elements from the first to the last one that the strides reach.
        var last: u64 = 0;
        for (source.dims, source.strides, 0..) |dim, stride, d| {
            if (d >= source.rank) {
                if (stride != 0) return bad("strides beyond the rank", .{});
                continue;
            }
            if (stride > wire.buffer_bytes_max) return bad("stride {d}", .{stride});
            if (source.output == 1 and dim > 1 and stride == 0)
                return bad("a result repeats elements", .{});
            // dim < 2^32 and stride <= 2^46: the product may pass 2^64.
            const reach = std.math.mul(u64, dim - 1, stride) catch
                return bad("reaches too far", .{});
            last = std.math.add(u64, last, reach) catch return bad("reaches too far", .{});
        }
        const room = if (buffer.bytes > source.offset) (buffer.bytes - source.offset) / size else 0;
        if (last >= room)
            return bad("element {d} at offset {d} lies outside its buffer of {d} bytes", .{
                last,
                source.offset,
                buffer.bytes,
            });
        buffer.used = true;
        program.elements_max = @max(program.elements_max, count);
        program.offsets[k] = source.offset;
        program.extents[k] = .{ .start = source.offset, .end = source.offset + (last + 1) * size };
        for (0..2) |slot| program.operands[slot][k] = .{
            // Never followed before `resolve`; aligned, so that a kernel's check may cast it.
            .data = @ptrFromInt(64),
            .dims = source.dims,
            .strides = source.strides,
            .rank = source.rank,
            .dtype = dtype,
            .output = source.output,
            .buffer = source.buffer,
        };
    }

    fn copy_text(
        program: *Program,
        layout: *const wire.Layout,
        range: wire.Range,
    ) Error![]const u8 {
        const text = try layout.text_of(range);
        return program.arena.allocator().dupe(u8, text) catch return out_of_memory();
    }
};

/// Everything whose size the header gives; names and scopes follow. Nothing is allocated after `load`.
fn allocate(layout: *const wire.Layout) !*Program {
    const h = &layout.header;
    var arena: std.heap.ArenaAllocator = .init(std.heap.c_allocator);
    errdefer arena.deinit();
    const a = arena.allocator();
    const program = try a.create(Program);
    program.* = .{
        .arena = undefined,
        .name = try a.dupe(u8, try layout.text_of(h.name)),
        .buffers = try a.alloc(Buffer, h.buffer_count),
        .instructions = undefined,
        .operands = undefined,
        .offsets = try a.alloc(u64, h.operand_count),
        .extents = try a.alloc(Extent, h.operand_count),
        .words = try a.alloc(u32, h.word_count),
        .functions = try a.alloc(kernel.RunFn, h.instruction_count),
        .scopes = try a.alloc([]const u8, h.instruction_count),
        .scratch_bytes = h.scratch_bytes,
        .uses_scratch = true,
        .bindings = undefined,
        .profile_ns = try a.alloc(u64, h.instruction_count),
    };
    for (0..2) |slot| {
        program.instructions[slot] = try a.alloc(abi.Instruction, h.instruction_count);
        program.operands[slot] = try a.alloc(abi.Operand, h.operand_count);
        program.bindings[slot] = try a.alloc(i64, h.buffer_count);
        @memset(program.bindings[slot], 0);
    }
    @memset(program.profile_ns, 0);
    program.arena = arena;
    return program;
}

fn out_of_memory() Error {
    return failure.raise(error.OutOfMemory, "no memory for the program itself", .{});
}

fn read_dtype(code: u8) Error!abi.Dtype {
    return std.enums.fromInt(abi.Dtype, code) orelse bad("unknown dtype {d}", .{code});
}

/// Product of the dims, each of which is at least 1.
fn element_count(rank: u8, dims: *const [abi.rank_max]u32) Error!u64 {
    if (rank > abi.rank_max) return bad("rank {d}", .{rank});
    var count: u64 = 1;
    for (dims, 0..) |dim, d| {
        if (d >= rank) {
            if (dim != 0) return bad("dims beyond the rank", .{});
            continue;
        }
        if (dim == 0) return bad("a dim of 0", .{});
        count = std.math.mul(u64, count, dim) catch return bad("too many elements", .{});
        if (count > wire.operand_elements_max) return bad("{d} elements", .{count});
    }
    return count;
}

fn explain_operand(e: Error, index: u32, name: []const u8, operand: usize) Error {
    var copy: [700]u8 = undefined;
    const message = failure.last_message();
    @memcpy(copy[0..message.len], message);
    std.debug.assert(e == error.InvalidProgram);
    const reason = copy["invalid program: ".len..message.len];
    return bad("instruction {d} ({s}) operand {d}: {s}", .{ index, name, operand, reason });
}

/// How many results an instruction has; null when the words that say so are missing. A kernel may take its
/// results for writable, non-repeating memory because this count has been compared with the operands' flags.
fn result_count(ins: *const abi.Instruction) ?u64 {
    return switch (ins.opcode) {
        .map => if (ins.word_count >= 2) ins.word(1) else null,
        .matmul => if (ins.word_count == 0)
            null
        else
            1 + @popCount(ins.word(0) & (abi.MatmulFlag.save_aux | abi.MatmulFlag.column_sums)),
        .layer_norm_grad => if (ins.word_count == 0) null else if (ins.word(0) != 0) 3 else 2,
        .cross_entropy, .rms_norm, .rms_norm_grad, .linear_cross_entropy, .attention => 2,
        .layer_norm, .attention_grad, .adamw => 3,
        .linear_cross_entropy_grad => 4,
        .map_reduce, .copy, .fill, .iota, .random_bits, .random_normal, .cumsum, .argmax => 1,
        .gather, .scatter_add, .dynamic_slice, .dynamic_update, .softmax, .softmax_grad => 1,
        .cross_entropy_grad, .rope, .embedding, .embedding_grad, .grad_norm => 1,
        .attention_cached, .cache_write => 1,
    };
}

/// Whose kernel on a GPU works without the workspace that the CPU's needs.
fn only_cpu_needs_workspace(opcode: abi.Opcode) bool {
    return opcode == .map_reduce or opcode == .attention_cached;
}

/// As large as any kernel wants it, for checks alone: its address is not that of memory.
const large_workspace: abi.Operand = .{
    .data = @ptrFromInt(64),
    .dims = .{std.math.maxInt(u32)} ++ @as([abi.rank_max - 1]u32, @splat(0)),
    .strides = .{1} ++ @as([abi.rank_max - 1]u64, @splat(0)),
    .rank = 1,
    .dtype = .u32,
    .output = 1,
    .buffer = 0,
};

/// The operand whose values a kernel uses as addresses.
fn index_operand(opcode: abi.Opcode) ?u32 {
    return switch (opcode) {
        .embedding, .embedding_grad => 0,
        .gather, .scatter_add, .dynamic_slice, .cross_entropy, .cross_entropy_grad => 1,
        .dynamic_update, .linear_cross_entropy, .linear_cross_entropy_grad => 2,
        .cache_write => 2,
        .attention, .attention_cached => 3,
        .attention_grad => 6,
        else => null,
    };
}
