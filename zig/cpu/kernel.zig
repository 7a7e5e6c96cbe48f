//! What a CPU kernel sees. All threads of the team run every kernel together (SPMD): work is split into fixed
//! tiles that threads `claim` dynamically, phases are separated by `barrier`. The executor puts a barrier after
//! every instruction. Tiles never depend on the number of threads, so results do not either.
const std = @import("std");
const abi = @import("../abi.zig");
const linux = std.os.linux;

pub const Instruction = abi.Instruction;
pub const Operand = abi.Operand;

/// State shared by the threads of a team. The words that threads spin on sit on cache lines of their own.
pub const Team = extern struct {
    next_tile: u32 align(64) = 0,
    arrived: u32 align(64) = 0,
    /// Counts barriers; the word that waiting threads spin and then park on.
    generation: u32 align(64) = 0,
    parked: u32 align(64) = 0,
    /// First failure of the running program: status, node, position, value. Later ones are dropped.
    failed: u32 align(64) = 0,
    failed_node: u32 = 0,
    failed_position: u64 = 0,
    failed_value: i64 = 0,
    /// Address of the instruction that failed. Every thread leaves the program at the barrier behind it: an earlier
    /// barrier must not be mistaken for that one by a thread that is late, hence the address and not a flag.
    failed_instruction: u64 = std.math.maxInt(u64),
};

pub const Thread = extern struct {
    team: *Team,
    scratch: [*]align(64) u8,
    scratch_bytes: u64,
    index: u32,
    count: u32,

    /// The next unclaimed tile below `tiles`, or null. All threads of a phase must pass the same `tiles`.
    pub fn claim(t: *Thread, tiles: u32) ?u32 {
        std.debug.assert(t.count > 0);
        const tile = if (t.count == 1) single: {
            const tile = t.team.next_tile;
            t.team.next_tile = tile + 1;
            break :single tile;
        } else @atomicRmw(u32, &t.team.next_tile, .Add, 1, .monotonic);
        return if (tile < tiles) tile else null;
    }

    /// Waits for all threads of the team; also resets the tile counter.
    pub fn barrier(t: *Thread) void {
        const team = t.team;
        if (t.count == 1) {
            team.next_tile = 0;
            return;
        }
        const generation = @atomicLoad(u32, &team.generation, .acquire);
        if (@atomicRmw(u32, &team.arrived, .Add, 1, .acq_rel) + 1 == t.count) {
            @atomicStore(u32, &team.next_tile, 0, .monotonic);
            @atomicStore(u32, &team.arrived, 0, .monotonic);
            @atomicStore(u32, &team.generation, generation +% 1, .seq_cst);
            if (@atomicLoad(u32, &team.parked, .seq_cst) != 0)
                _ = linux.futex_3arg(&team.generation, .{ .cmd = .WAKE, .private = true }, t.count);
            return;
        }
        wait_while_equal(&team.generation, generation, &team.parked);
    }

    /// Scratch of this thread as `n` elements of T, 64-byte aligned, starting at `offset_bytes`.
    /// The loader has checked that the program declares as much as the kernel's `scratch` asks for.
    pub fn scratch_slice(t: *Thread, comptime T: type, offset_bytes: u64, n: u64) []T {
        std.debug.assert(offset_bytes + n * @sizeOf(T) <= t.scratch_bytes);
        std.debug.assert(offset_bytes % 64 == 0);
        return @as([*]T, @ptrCast(@alignCast(t.scratch + offset_bytes)))[0..n];
    }

    /// Reports bad data (an id out of range, say). The kernel goes on without touching the memory in question.
    pub fn fail(
        t: *Thread,
        ins: *const Instruction,
        status: abi.Status,
        position: u64,
        value: i64,
    ) void {
        std.debug.assert(status != .ok);
        const code: u32 = @intFromEnum(status);
        if (@cmpxchgStrong(u32, &t.team.failed, 0, code, .acq_rel, .acquire) == null) {
            t.team.failed_node = ins.node;
            t.team.failed_position = position;
            t.team.failed_value = value;
            @atomicStore(u64, &t.team.failed_instruction, @intFromPtr(ins), .release);
        }
    }
};

/// Spins for a while (about 30 us), then parks on the futex.
pub fn wait_while_equal(word: *u32, value: u32, parked: *u32) void {
    var spins: u32 = 0;
    while (@atomicLoad(u32, word, .acquire) == value) {
        spins += 1;
        if (spins < 1000) {
            std.atomic.spinLoopHint();
        } else {
            _ = @atomicRmw(u32, parked, .Add, 1, .seq_cst);
            defer _ = @atomicRmw(u32, parked, .Sub, 1, .seq_cst);
            while (@atomicLoad(u32, word, .seq_cst) == value)
                _ = linux.futex_4arg(word, .{ .cmd = .WAIT, .private = true }, value, null);
            return;
        }
    }
}

pub const RunFn = *const fn (*Thread, *const Instruction) callconv(.c) void;
/// Null when the operands and words are sound, else the reason. After a null, `run` must be memory-safe.
/// The loader has already checked ranks, dtypes codes, that each operand lies inside its buffer and is aligned to its
/// element, and that `output` operands are writable; `check` sees operand_count and word_count as they came.
pub const CheckFn = *const fn (*const Instruction) callconv(.c) ?[*:0]const u8;
/// Private bytes that each thread needs to run this (checked) instruction.
pub const ScratchFn = *const fn (*const Instruction) callconv(.c) u64;

pub const Kernel = extern struct {
    opcode: abi.Opcode,
    run: RunFn,
    check: CheckFn,
    scratch: ?ScratchFn = null,
};

pub fn row_count(o: *const Operand) u64 {
    return if (o.rank == 0) 1 else o.count() / @max(1, o.dims[o.rank - 1]);
}

pub fn same_dims(a: *const Operand, b: *const Operand) bool {
    return a.rank == b.rank and std.mem.eql(u32, a.dims[0..a.rank], b.dims[0..b.rank]);
}
