//! The threads of a device. They run a program together, instruction by instruction (SPMD, see kernel.zig); between
//! programs they spin briefly and then park. The caller of `run` is thread 0.
const std = @import("std");
const linux = std.os.linux;
const abi = @import("../abi.zig");
const kernel = @import("kernel.zig");

/// A program as the threads see it.
pub const Job = struct {
    name: []const u8,
    instructions: []const abi.Instruction,
    functions: []const kernel.RunFn,
    /// Nanoseconds per instruction, added to by thread 0.
    profile_ns: ?[]u64,
};

/// Where this thread is, for the panic handler.
pub threadlocal var current_job: ?*const Job = null;
pub threadlocal var current_instruction: ?*const abi.Instruction = null;

/// Count of threads for a futex to wake.
const everyone = std.math.maxInt(i32);

pub const Pool = struct {
    team: kernel.Team = .{},
    /// Counts jobs; idle workers spin and park on it.
    started: u32 align(64) = 0,
    parked: u32 align(64) = 0,
    stopping: bool = false,
    job: *const Job = undefined,
    states: []kernel.Thread,
    workers: []std.Thread,

    /// `states` has one entry per thread, `workers` one less; both belong to the pool until `stop`.
    pub fn start(
        pool: *Pool,
        states: []kernel.Thread,
        workers: []std.Thread,
    ) std.Thread.SpawnError!void {
        std.debug.assert(states.len == workers.len + 1);
        pool.* = .{ .states = states, .workers = workers[0..0] };
        for (states, 0..) |*state, i| state.* = .{
            .team = &pool.team,
            .scratch = @ptrFromInt(64),
            .scratch_bytes = 0,
            .index = @intCast(i),
            .count = @intCast(states.len),
        };
        errdefer pool.stop();
        for (workers, 1..) |*worker, i| {
            worker.* = try std.Thread.spawn(.{}, work, .{ pool, @as(u32, @intCast(i)) });
            pool.workers = workers[0..i];
        }
    }

    pub fn stop(pool: *Pool) void {
        pool.stopping = true;
        pool.wake();
        for (pool.workers) |worker| worker.join();
        pool.workers = pool.workers[0..0];
    }

    /// Runs a job to its end, or to the end of the instruction that failed (see `Team.failed`).
    pub fn run(pool: *Pool, job: *const Job) void {
        pool.team.failed = 0;
        pool.team.failed_instruction = std.math.maxInt(u64);
        pool.job = job;
        if (pool.workers.len > 0) pool.wake();
        pool.execute(0);
    }

    fn wake(pool: *Pool) void {
        @atomicStore(u32, &pool.started, pool.started +% 1, .seq_cst);
        if (@atomicLoad(u32, &pool.parked, .seq_cst) != 0)
            _ = linux.futex_3arg(&pool.started, .{ .cmd = .WAKE, .private = true }, everyone);
    }

    fn work(pool: *Pool, index: u32) void {
        ready_thread("theseus-worker");
        var seen: u32 = 0;
        while (true) {
            kernel.wait_while_equal(&pool.started, seen, &pool.parked);
            seen +%= 1;
            if (pool.stopping) return;
            pool.execute(index);
        }
    }

    fn execute(pool: *Pool, index: u32) void {
        const job = pool.job;
        const thread = &pool.states[index];
        const at = &current_instruction;
        current_job = job;
        const profile_ns = if (index == 0) job.profile_ns else null;
        var time_ns = if (profile_ns != null) now_ns() else 0;
        for (job.instructions, job.functions, 0..) |*instruction, function, i| {
            at.* = instruction;
            function(thread, instruction);
            thread.barrier();
            if (profile_ns) |sums| {
                const end_ns = now_ns();
                sums[i] += end_ns - time_ns;
                time_ns = end_ns;
            }
            const failed = @atomicLoad(u64, &pool.team.failed_instruction, .acquire);
            if (failed <= @intFromPtr(instruction)) break;
        }
        // No thread may still look at the team when thread 0 begins the next job.
        thread.barrier();
        at.* = null;
    }
};

/// Names the thread and leaves signals to the threads of the runtime, which knows what to do with them.
pub fn ready_thread(name: [*:0]const u8) void {
    _ = std.c.pthread_setname_np(std.c.pthread_self(), name);
    var set: std.c.sigset_t = undefined;
    var old: std.c.sigset_t = undefined;
    _ = std.c.sigfillset(&set);
    for ([_]std.c.SIG{ .SEGV, .BUS, .FPE, .ILL, .ABRT, .TRAP, .SYS, .PROF }) |signal| {
        _ = std.c.sigdelset(&set, signal);
    }
    _ = std.c.pthread_sigmask(std.c.SIG.SETMASK, &set, &old);
}

pub fn now_ns() u64 {
    var time: linux.timespec = undefined;
    _ = linux.clock_gettime(.MONOTONIC, &time);
    return @as(u64, @intCast(time.sec)) * std.time.ns_per_s + @as(u64, @intCast(time.nsec));
}

test "threads run every instruction together and stop behind a failing one" {
    const Probe = struct {
        fn run(thread: *kernel.Thread, instruction: *const abi.Instruction) callconv(.c) void {
            const sums: [*]u32 = @ptrCast(@constCast(instruction.words));
            while (thread.claim(64)) |tile| _ = @atomicRmw(u32, &sums[0], .Add, tile, .monotonic);
            _ = @atomicRmw(u32, &sums[1], .Add, 1, .monotonic);
            if (instruction.node == 2) thread.fail(instruction, .index_out_of_range, 5, -7);
        }
    };
    for ([_]usize{ 1, 2, 3 }) |count| {
        var states: [3]kernel.Thread = undefined;
        var workers: [2]std.Thread = undefined;
        var pool: Pool = undefined;
        try pool.start(states[0..count], workers[0 .. count - 1]);
        defer pool.stop();
        var sums: [4][2]u32 = @splat(.{ 0, 0 });
        var instructions: [4]abi.Instruction = undefined;
        for (&instructions, &sums, 0..) |*each, *sum, i| each.* = .{
            .opcode = .fill,
            .operand_count = 0,
            .word_count = 2,
            .operands = undefined,
            .words = sum,
            .node = @intCast(i),
            .has_workspace = 0,
        };
        var profile_ns: [4]u64 = @splat(0);
        const job: Job = .{
            .name = "probe",
            .instructions = &instructions,
            .functions = &@as([4]kernel.RunFn, @splat(&Probe.run)),
            .profile_ns = &profile_ns,
        };
        for (0..3) |_| pool.run(&job);
        const expected = [2]u32{ 3 * 2016, @intCast(3 * count) };
        for (sums[0..3]) |sum| try std.testing.expectEqual(expected, sum);
        try std.testing.expectEqual([2]u32{ 0, 0 }, sums[3]);
        try std.testing.expectEqual(2, pool.team.failed_node);
        try std.testing.expect(profile_ns[0] > 0 and profile_ns[3] == 0);
    }
}
