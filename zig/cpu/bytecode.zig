//! Block interpreter of `map` programs: one instruction runs over up to 512 elements before the next one starts, so
//! decoding costs nothing and the live registers stay in the first-level cache. Inputs and results that are
//! contiguous 32-bit memory are used in place, without a copy.
const std = @import("std");
const abi = @import("../abi.zig");
const map_ops = @import("map_ops.zig");
const simd = @import("simd.zig");

const MapOp = abi.MapOp;
const Dtype = abi.Dtype;
const lanes = simd.lanes;

pub const block_elements = 512;
pub const inputs_max = 8;
pub const results_max = 4;
pub const constants_max = 32;
pub const instructions_max = 32;
const constant_base = 8;
const instruction_base = 64;
const register_count = instruction_base + instructions_max;

const Instruction = struct { op: MapOp, registers: [3]u8 };

/// The words of a checked `map`, taken apart.
pub const Program = struct {
    input_count: u32,
    result_count: u32,
    constants: []const u32,
    instructions: []const u32,
    results: []const u32,

    /// Null when the counts do not fit the words.
    pub fn decode(words: []const u32) ?Program {
        if (words.len < 4) return null;
        if (words[0] > inputs_max or words[1] == 0 or words[1] > results_max) return null;
        if (words[2] > constants_max or words[3] > instructions_max) return null;
        if (words.len != 4 + words[2] + words[3] + words[1]) return null;
        return .{
            .input_count = words[0],
            .result_count = words[1],
            .constants = words[4..][0..words[2]],
            .instructions = words[4 + words[2] ..][0..words[3]],
            .results = words[4 + words[2] + words[3] ..][0..words[1]],
        };
    }

    fn defined(p: *const Program, register: u32, instruction: usize) bool {
        if (register < constant_base) return register < p.input_count;
        if (register < constant_base + constants_max)
            return register - constant_base < p.constants.len;
        return register >= instruction_base and register - instruction_base < instruction;
    }

    fn instruction_at(p: *const Program, k: usize) ?Instruction {
        const word = p.instructions[k];
        const op = std.enums.fromInt(MapOp, @as(u8, @truncate(word))) orelse return null;
        return .{ .op = op, .registers = .{
            @truncate(word >> 8), @truncate(word >> 16), @truncate(word >> 24),
        } };
    }

    /// Every instruction is known and reads only what is there before it.
    pub fn sound(p: *const Program) bool {
        for (0..p.instructions.len) |k| {
            const instruction = p.instruction_at(k) orelse return false;
            for (instruction.registers[0..map_ops.arity(instruction.op)]) |register|
                if (!p.defined(register, k)) return false;
        }
        for (p.results) |register| if (!p.defined(register, p.instructions.len)) return false;
        return true;
    }
};

/// Where a register's lanes are: whole vectors at `main`, the last partial vector padded at `tail`.
const Register = struct { main: map_ops.Lanes, tail: [*]const u32 };

pub const Machine = struct {
    program: Program,
    instructions: [instructions_max]Instruction,
    registers: [register_count]Register,
    /// Slot of each instruction's value; several share one when their lives do not overlap.
    slot_of: [instructions_max]u8,
    /// Result that instruction k may write straight to memory, else 255.
    direct_of: [instructions_max]u8,
    direct_to: [results_max]?[*]u32,
    /// Inputs that are results themselves and must survive the writing of another result.
    kept: [inputs_max]bool,
    constants: [constants_max][lanes]u32 align(64),
    tails: [inputs_max + results_max][lanes]u32 align(64),
    inputs: [inputs_max][block_elements]u32 align(64),
    slots: [instructions_max][block_elements]u32 align(64),

    /// `direct` allows writing results of 32-bit dtype in place.
    pub fn prepare(m: *Machine, program: Program, dtypes: []const Dtype, direct: bool) void {
        std.debug.assert(program.sound() and dtypes.len == program.result_count);
        m.program = program;
        for (program.constants, 0..) |bits, i| {
            m.constants[i] = @splat(bits);
            const at: [*]const u32 = &m.constants[i];
            m.registers[constant_base + i] = .{ .main = .{ .at = at, .step = 0 }, .tail = at };
        }
        for (0..program.instructions.len) |k| m.instructions[k] = program.instruction_at(k).?;
        m.assign_slots();
        m.direct_of = @splat(255);
        m.direct_to = @splat(null);
        m.kept = @splat(false);
        if (program.result_count > 1) for (program.results) |register| {
            if (register < inputs_max) m.kept[register] = true;
        };
        if (direct) m.choose_direct(dtypes);
    }

    fn assign_slots(m: *Machine) void {
        const count = m.program.instructions.len;
        const forever = 255;
        var last_use: [instructions_max]u8 = undefined;
        for (0..count) |k| {
            last_use[k] = @intCast(k);
            const instruction = m.instructions[k];
            for (instruction.registers[0..map_ops.arity(instruction.op)]) |register|
                if (register >= instruction_base) {
                    last_use[register - instruction_base] = @intCast(k);
                };
        }
        for (m.program.results) |register|
            if (register >= instruction_base) {
                last_use[register - instruction_base] = forever;
            };
        var free_after: [instructions_max]u8 = @splat(0);
        var used: [instructions_max]bool = @splat(false);
        for (0..count) |k| {
            // A value that dies here may be overwritten here: lanes are read before they are written.
            const slot = for (0..count) |s| {
                if (!used[s] or free_after[s] <= k) break s;
            } else unreachable;
            used[slot] = true;
            free_after[slot] = last_use[k];
            m.slot_of[k] = @intCast(slot);
        }
    }

    /// An instruction may write its result to memory when nothing reads an input after it: a result may be the same
    /// memory as an input.
    fn choose_direct(m: *Machine, dtypes: []const Dtype) void {
        for (m.program.results) |register| if (register < constant_base) return;
        var k = m.program.instructions.len;
        while (k > 0) {
            k -= 1;
            for (m.program.results, dtypes, 0..) |register, dtype, r| {
                const wide = dtype == .f32 or dtype == .i32 or dtype == .u32;
                if (wide and register == instruction_base + k) {
                    m.direct_of[k] = @intCast(r);
                    break;
                }
            }
            const instruction = m.instructions[k];
            for (instruction.registers[0..map_ops.arity(instruction.op)]) |register|
                if (register < constant_base) return;
        }
    }

    /// Input `i` of the next block is one value.
    pub fn set_single(m: *Machine, i: usize, dtype: Dtype, at: [*]const u8, offset: u64) void {
        m.tails[i] = @splat(load_bits(dtype, at, offset));
        const tail: [*]const u32 = &m.tails[i];
        m.registers[i] = .{ .main = .{ .at = tail, .step = 0 }, .tail = tail };
    }

    /// Input `i` of the next block is `n` contiguous elements.
    pub fn set_dense(
        m: *Machine,
        i: usize,
        dtype: Dtype,
        at: [*]const u8,
        offset: u64,
        n: u64,
    ) void {
        std.debug.assert(n <= block_elements);
        const wide = dtype == .f32 or dtype == .i32 or dtype == .u32;
        if (!wide or m.kept[i]) {
            load_run(dtype, &m.inputs[i], at, offset, n);
            return m.set_staged(i, n);
        }
        const from = @as([*]const u32, @ptrCast(@alignCast(at))) + offset;
        const whole = n - n % lanes;
        if (whole != n) {
            m.tails[i] = @splat(0);
            for (whole..n) |e| m.tails[i][e - whole] = from[e];
        }
        m.registers[i] = .{ .main = .{ .at = from, .step = lanes }, .tail = &m.tails[i] };
    }

    /// Room for an input that has to be gathered; `set_staged` afterwards.
    pub fn staging(m: *Machine, i: usize) *[block_elements]u32 {
        return &m.inputs[i];
    }

    pub fn set_staged(m: *Machine, i: usize, n: u64) void {
        const at: [*]u32 = &m.inputs[i];
        const whole = n - n % lanes;
        const end = (n + lanes - 1) / lanes * lanes;
        for (n..end) |e| at[e] = 0;
        m.registers[i] = .{ .main = .{ .at = at, .step = lanes }, .tail = at + whole };
    }

    /// Runs the program on a block of `n` elements; the inputs are set.
    pub fn execute(m: *Machine, n: u64) void {
        std.debug.assert(n <= block_elements);
        const vectors = n / lanes;
        const partial = n % lanes != 0;
        for (0..m.program.instructions.len) |k| {
            const instruction = m.instructions[k];
            const slot: [*]u32 = &m.slots[m.slot_of[k]];
            var out = slot;
            var tail = slot + vectors * lanes;
            const direct = m.direct_of[k];
            if (direct != 255) if (m.direct_to[direct]) |to| {
                out = to;
                tail = &m.tails[inputs_max + direct];
            };
            const count = map_ops.arity(instruction.op);
            const a = &m.registers[instruction.registers[0]];
            const b = if (count > 1) &m.registers[instruction.registers[1]] else a;
            const c = if (count > 2) &m.registers[instruction.registers[2]] else a;
            map_ops.run(instruction.op, out, a.main, b.main, c.main, vectors);
            if (partial) map_ops.run(
                instruction.op,
                tail,
                .{ .at = a.tail, .step = 0 },
                .{ .at = b.tail, .step = 0 },
                .{ .at = c.tail, .step = 0 },
                1,
            );
            m.registers[instruction_base + k] =
                .{ .main = .{ .at = out, .step = lanes }, .tail = tail };
        }
    }

    /// Tells where result `r` of the next block goes, for instructions that may write there themselves.
    pub fn aim(m: *Machine, r: usize, dtype: Dtype, at: [*]u8, offset: u64) void {
        if (dtype != .f32 and dtype != .i32 and dtype != .u32) return;
        m.direct_to[r] = @as([*]u32, @ptrCast(@alignCast(at))) + offset;
    }

    /// Writes result `r` of the block just executed, converted to its dtype, unless that is done already.
    pub fn store(m: *Machine, r: usize, dtype: Dtype, at: [*]u8, offset: u64, n: u64) void {
        const register = m.program.results[r];
        const from = &m.registers[register];
        const vectors = n / lanes;
        const rest = n % lanes;
        const is_direct = register >= instruction_base and
            m.direct_of[register - instruction_base] == r;
        switch (dtype) {
            inline else => |known| {
                const T = stored(known);
                const to = @as([*]T, @ptrCast(@alignCast(at))) + offset;
                if (!is_direct) for (0..vectors) |v| {
                    const bits: simd.U = from.main.at[v * from.main.step ..][0..lanes].*;
                    simd.store_vector(to + v * lanes, narrow(known, bits));
                };
                if (rest > 0) {
                    const bits: simd.U = from.tail[0..lanes].*;
                    const narrowed: [lanes]T = narrow(known, bits);
                    for (0..rest) |e| to[vectors * lanes + e] = narrowed[e];
                }
            },
        }
    }

    /// Result `r` of the block just executed as `n` contiguous lanes (staged when they are not in one piece).
    pub fn values(m: *Machine, r: usize, n: u64) [*]const u32 {
        const register = m.program.results[r];
        const from = &m.registers[register];
        const whole = n - n % lanes;
        const together = from.main.step == lanes and
            (whole == n or from.tail == from.main.at + whole);
        if (together) return from.main.at;
        // An input's staging is free when the input itself was used in place or is one value.
        const to: *[block_elements]u32 = if (register < inputs_max)
            &m.inputs[register]
        else
            &m.slots[instructions_max - 1];
        std.debug.assert(register < instruction_base);
        for (0..whole / lanes) |v|
            to[v * lanes ..][0..lanes].* = from.main.at[v * from.main.step ..][0..lanes].*;
        for (whole..n) |e| to[e] = from.tail[e - whole];
        return to;
    }
};

fn stored(comptime dtype: Dtype) type {
    return switch (dtype) {
        .f32, .i32, .u32 => u32,
        .bf16 => u16,
        .bool => u8,
    };
}

inline fn narrow(comptime dtype: Dtype, bits: simd.U) @Vector(lanes, stored(dtype)) {
    return switch (dtype) {
        .f32, .i32, .u32 => bits,
        .bf16 => simd.bf16_vector(@bitCast(bits)),
        .bool => @select(u8, bits != @as(simd.U, @splat(0)), one_bytes, zero_bytes),
    };
}

const one_bytes: @Vector(lanes, u8) = @splat(1);
const zero_bytes: @Vector(lanes, u8) = @splat(0);

/// One element as a register lane.
pub inline fn load_bits(dtype: Dtype, at: [*]const u8, offset: u64) u32 {
    return switch (dtype) {
        .f32, .i32, .u32 => @as([*]const u32, @ptrCast(@alignCast(at)))[offset],
        .bf16 => @as(u32, @as([*]const u16, @ptrCast(@alignCast(at)))[offset]) << 16,
        .bool => at[offset],
    };
}

/// `n` contiguous elements as register lanes.
pub fn load_run(dtype: Dtype, to: [*]u32, at: [*]const u8, offset: u64, n: u64) void {
    switch (dtype) {
        inline else => |known| {
            const from = @as([*]const stored(known), @ptrCast(@alignCast(at))) + offset;
            const shift: @Vector(lanes, u5) = @splat(if (known == .bf16) 16 else 0);
            var e: u64 = 0;
            while (e + lanes <= n) : (e += lanes) {
                const narrowed: @Vector(lanes, stored(known)) = from[e..][0..lanes].*;
                simd.store_vector(to + e, @as(simd.U, narrowed) << shift);
            }
            while (e < n) : (e += 1) to[e] = load_bits(known, at, offset + e);
        },
    }
}

/// `n` elements `stride` apart as register lanes; stride 0 repeats one.
pub fn load_strided(
    dtype: Dtype,
    to: [*]u32,
    at: [*]const u8,
    offset: u64,
    stride: u64,
    n: u64,
) void {
    switch (dtype) {
        inline else => |known| for (0..n) |e| {
            to[e] = load_bits(known, at, offset + e * stride);
        },
    }
}
