//! A loaded program on a GPU: its launches, one block of tasks in device memory for each input slot, and one CUDA graph a
//! slot. Everything is allocated at load.
//!
//! The first run of a program starts its launches one by one; graphs are captured at later ones. Since CUDA 12.2 code is loaded when
//! it is first used, and loading may have to wait for all that the context does (CUDA programming guide, "Lazy loading"), which
//! must not happen while a stream captures (ibid., "CUDA graphs"). Kernels of our own are loaded with the program (`Gpu.function`), but
//! for those of cuBLASLt there is no such call, and where algorithms are known from an earlier run it has not computed anything yet.
const std = @import("std");
const abi = @import("../abi.zig");
const failure = @import("../failure.zig");
const pool = @import("../cpu/pool.zig");
const launches = @import("launches.zig");
const numbers = @import("numbers.zig");
const device_file = @import("device.zig");
const driver_file = @import("driver.zig");
const task_file = @import("task.zig");
const Program = @import("../program.zig").Program;

const Address = driver_file.Address;
const Addresses = @import("product.zig").Addresses;
const Error = failure.Error;
const Fault = task_file.Fault;
const Gpu = device_file.Gpu;
const Handle = driver_file.Handle;
const Task = task_file.Task;

const capture_relaxed = numbers.CU_STREAM_CAPTURE_MODE_RELAXED;

/// Told apart by this number in the device's fault record.
var next_serial: u32 = 1;

pub const Executable = struct {
    gpu: *Gpu,
    arena: std.heap.ArenaAllocator,
    serial: u32,
    plan: launches.Plan,
    /// Of each launch.
    functions: []Handle,
    /// First operand of each instruction in the program's list.
    first_operands: []u32,
    /// Tasks, operands and words of one slot, as the device sees them.
    image: []align(8) u8,
    blocks: [2]Address = .{ 0, 0 },
    graphs: [2]Handle = .{ null, null },
    /// Every launch was started before, so that all code is on the GPU.
    has_run: bool = false,
    /// While profiling, for each run that may be on the device: an event before the first launch and one after each.
    clocks: [device_file.runs_max][]Handle = @splat(&.{}),

    pub fn load(gpu: *Gpu, program: *const Program) Error!*Executable {
        var arena: std.heap.ArenaAllocator = .init(std.heap.c_allocator);
        errdefer arena.deinit();
        const executable = try allocate(&arena, gpu, program, false);
        errdefer executable.plan.free();
        errdefer executable.free_blocks();
        for (&executable.blocks) |*block| block.* = try gpu.alloc(executable.image.len);
        executable.arena = arena;
        return executable;
    }

    /// Device memory that the program itself would take.
    pub fn measure(gpu: *Gpu, program: *const Program) Error!u64 {
        var arena: std.heap.ArenaAllocator = .init(std.heap.c_allocator);
        defer arena.deinit();
        const executable = try allocate(&arena, gpu, program, true);
        executable.plan.free();
        return executable.bytes();
    }

    pub fn free(x: *Executable) void {
        x.gpu.enter();
        x.drop_clocks();
        x.plan.free();
        for (&x.graphs) |*graph| drop(x.gpu, graph);
        x.free_blocks();
        // The executable lies in its own arena, so the arena's state has to leave it first.
        const arena = x.arena;
        arena.deinit();
    }

    fn free_blocks(x: *Executable) void {
        for (x.blocks) |block| if (block != 0) x.gpu.free(block, x.image.len);
    }

    /// Device memory of the program itself.
    pub fn bytes(x: *const Executable) u64 {
        return x.image.len * x.blocks.len;
    }

    /// Brings the addresses of a slot to the device. The program's operands have them already.
    pub fn resolve(x: *Executable, program: *const Program, slot: u1) Error!void {
        x.gpu.enter();
        drop(x.gpu, &x.graphs[slot]);
        const at = Offsets.of(&x.plan);
        const base = x.blocks[slot];
        const tasks: [*]Task = @ptrCast(x.image.ptr);
        const operands: [*]abi.Operand = @ptrCast(@alignCast(x.image.ptr + at.operands));
        for (x.plan.launches.items, 0..) |launch, i| {
            tasks[i] = .{
                .operands = base + at.operands + launch.first_part * @sizeOf(abi.Operand),
                .words = base + at.words + launch.first_word * 4,
                .operand_count = launch.part_count,
                .word_count = launch.word_count,
                .place = .{ .instruction = launch.instruction + 1, .program = x.serial },
            };
            const first = x.first_operands[launch.instruction];
            for (launch.first_part..launch.first_part + launch.part_count) |k| {
                const part = x.plan.parts.items[k];
                operands[k] = part.view;
                operands[k].data = @ptrFromInt(x.address(program, slot, first, part));
            }
        }
        const words = std.mem.sliceAsBytes(x.plan.words.items);
        @memcpy(x.image[at.words..][0..words.len], words);
        @memset(x.image[at.words + words.len ..], 0);
        try x.gpu.write(base, x.image);
    }

    /// Where a part of the instruction lies whose operands begin with `first`.
    fn address(
        x: *const Executable,
        program: *const Program,
        slot: u1,
        first: u32,
        part: launches.Part,
    ) Address {
        const base = if (part.index == launches.device_scratch)
            x.gpu.products.?.scratch
        else
            @intFromPtr(program.operands[slot][first + part.index].data);
        return base + part.offset;
    }

    /// Puts a run behind what the GPU does already; its end shows in event `report`.
    pub fn start(x: *Executable, program: *Program, slot: u1, report: usize) Error!void {
        const gpu = x.gpu;
        gpu.witness.begin(.{ .executable = x, .program = program, .slot = slot });
        if (gpu.stepwise) {
            try x.step(program, slot);
        } else if (program.profiling) {
            try x.launch_timed(program, slot, report);
        } else if (!x.has_run) {
            try x.launch_all(program, slot);
        } else {
            if (x.graphs[slot] == null) try x.capture(program, slot);
            const begun = gpu.driver.call.cuGraphLaunch(x.graphs[slot], gpu.compute);
            try x.check(begun, "program {s} cannot be started", .{program.name});
        }
        x.has_run = true;
        const reports: [*]Fault = @ptrCast(@alignCast(gpu.reports.?));
        const call = &gpu.driver.call;
        const size = @sizeOf(Fault);
        const copied = call.cuMemcpyDtoHAsync_v2(&reports[report], gpu.fault, size, gpu.compute);
        try x.check(copied, "program {s} cannot be started", .{program.name});
        const recorded = call.cuEventRecord(gpu.done[report], gpu.compute);
        try x.check(recorded, "program {s} cannot be started", .{program.name});
    }

    /// A failure of the GPU shows in whichever call comes next: what is told is where it was, not what that call was for.
    fn check(
        x: *const Executable,
        result: c_int,
        comptime what: []const u8,
        args: anytype,
    ) Error!void {
        const gpu = x.gpu;
        if (!driver_file.is_fatal(result) or gpu.stepwise)
            return gpu.driver.check(result, what, args);
        var buffer: [600]u8 = undefined;
        var writer: std.Io.Writer = .fixed(&buffer);
        // A text that does not fit is cut.
        const known = gpu.witness.tell(gpu, &writer) catch true;
        if (!known) return gpu.driver.check(result, what, args);
        const hint = " (exactly: THESEUS_CUDA_STEPWISE=1)";
        try gpu.driver.check(result, "{s}" ++ hint, .{writer.buffered()});
    }

    /// Which launch of the slot has its task there.
    pub fn launch_at(x: *const Executable, task: Address, slot: u1) ?usize {
        const base = x.blocks[slot];
        const end = base + x.plan.launches.items.len * @sizeOf(Task);
        return if (task >= base and task < end) (task - base) / @sizeOf(Task) else null;
    }

    /// Whether the run has ended; a failure of the GPU itself or of the data is an error or a record.
    pub fn poll(x: *Executable, program: *Program, report: usize) Error!bool {
        const gpu = x.gpu;
        const state = gpu.driver.call.cuEventQuery(gpu.done[report]);
        if (state == driver_file.not_ready) return false;
        const what = "program {s} failed on GPU {d} (exactly: THESEUS_CUDA_STEPWISE=1)";
        try x.check(state, what, .{ program.name, gpu.ordinal });
        gpu.witness.end();
        if (program.profiling and !gpu.stepwise) try x.read_clocks(program, report);
        return true;
    }

    /// What the run left in the fault record.
    pub fn fault(x: *const Executable, report: usize) ?Fault {
        const reports: [*]const Fault = @ptrCast(@alignCast(x.gpu.reports.?));
        const found = reports[report];
        return if (found.place == task_file.Place.none) null else found;
    }

    fn capture(x: *Executable, program: *const Program, slot: u1) Error!void {
        const gpu = x.gpu;
        const call = &gpu.driver.call;
        const what = "a CUDA graph cannot be made";
        try x.check(call.cuStreamBeginCapture_v2(gpu.compute, capture_relaxed), what, .{});
        const recorded = x.launch_all(program, slot);
        // Whatever has happened, the stream must not go on capturing; the first failure is the one to tell.
        var graph: Handle = null;
        const ended = call.cuStreamEndCapture(gpu.compute, &graph);
        defer if (graph != null) {
            _ = call.cuGraphDestroy(graph);
        };
        try recorded;
        try x.check(ended, what, .{});
        const made = call.cuGraphInstantiateWithFlags(&x.graphs[slot], graph, 0);
        try x.check(made, what, .{});
    }

    fn launch_all(x: *Executable, program: *const Program, slot: u1) Error!void {
        for (x.plan.launches.items, 0..) |*launch, i|
            try x.launch_one(program, launch, i, slot);
    }

    /// Every launch between two events, whose distance `read_clocks` adds up when the run is over.
    fn launch_timed(x: *Executable, program: *Program, slot: u1, report: usize) Error!void {
        const clocks = x.clocks[report];
        try x.tick(program, clocks[0]);
        for (x.plan.launches.items, 0..) |*launch, i| {
            try x.launch_one(program, launch, i, slot);
            try x.tick(program, clocks[i + 1]);
        }
    }

    fn tick(x: *Executable, program: *const Program, clock: Handle) Error!void {
        const recorded = x.gpu.driver.call.cuEventRecord(clock, x.gpu.compute);
        try x.check(recorded, "program {s} cannot be timed", .{program.name});
    }

    fn read_clocks(x: *Executable, program: *Program, report: usize) Error!void {
        const clocks = x.clocks[report];
        for (x.plan.launches.items, 0..) |*launch, i| {
            var ms: f32 = 0;
            const read = x.gpu.driver.call.cuEventElapsedTime(&ms, clocks[i], clocks[i + 1]);
            try x.check(read, "program {s} cannot be timed", .{program.name});
            const ns: u64 = @intFromFloat(@max(0, ms) * std.time.ns_per_ms);
            program.profile_ns[launch.instruction] += ns;
        }
    }

    /// Makes the events of profiling, or gives them back.
    pub fn set_profiling(x: *Executable, enabled: bool) Error!void {
        x.gpu.enter();
        x.drop_clocks();
        if (!enabled) return;
        errdefer x.drop_clocks();
        for (&x.clocks) |*clocks| {
            clocks.* = std.heap.c_allocator.alloc(Handle, x.plan.launches.items.len + 1) catch
                return failure.raise(error.OutOfMemory, "no memory for clocks", .{});
            @memset(clocks.*, null);
            for (clocks.*) |*clock| clock.* = try x.gpu.new_event(0);
        }
    }

    fn drop_clocks(x: *Executable) void {
        for (&x.clocks) |*clocks| {
            for (clocks.*) |clock| if (clock != null) {
                _ = x.gpu.driver.call.cuEventDestroy_v2(clock);
            };
            std.heap.c_allocator.free(clocks.*);
            clocks.* = &.{};
        }
    }

    /// One launch at a time, each waited for: times every instruction, and a failure names its own.
    fn step(x: *Executable, program: *Program, slot: u1) Error!void {
        const gpu = x.gpu;
        for (x.plan.launches.items, 0..) |*launch, i| {
            const begin = pool.now_ns();
            try x.launch_one(program, launch, i, slot);
            const waited = gpu.driver.call.cuStreamSynchronize(gpu.compute);
            try x.check_launch(program, launch, waited);
            program.profile_ns[launch.instruction] += pool.now_ns() - begin;
        }
    }

    /// For messages: program, GPU, node, kernel, and the scope behind a comma.
    fn place(x: *const Executable, program: *const Program, launch: *const launches.Launch) struct {
        []const u8,
        u32,
        u32,
        []const u8,
        []const u8,
        []const u8,
    } {
        const scope = program.scopes[launch.instruction];
        return .{
            program.name,
            x.gpu.ordinal,
            program.instructions[0][launch.instruction].node,
            @tagName(launch.kernel),
            if (scope.len > 0) ", " else "",
            scope,
        };
    }

    /// A product that cuBLASLt computes.
    fn multiply(
        x: *Executable,
        program: *const Program,
        launch: *const launches.Launch,
        number: u32,
        slot: u1,
    ) Error!void {
        const products = x.gpu.products.?;
        const first = x.first_operands[launch.instruction];
        const parts = x.plan.parts.items[launch.first_part..][0..launch.part_count];
        var at: Addresses = .{};
        inline for (@typeInfo(launches.ProductParts).@"struct".fields, 0..) |field, i|
            @field(at, field.name) = x.address(program, slot, first, parts[i]);
        const prepared = &x.plan.prepared.items[number];
        prepared.launch(&products.lt, at, products.workspace(), x.gpu.compute) catch {
            // What cuBLASLt says of a GPU that is dead already is not about this product.
            const state = x.gpu.driver.call.cuEventQuery(x.gpu.done[0]);
            if (driver_file.is_fatal(state)) try x.check_launch(program, launch, state);
            var buffer: [300]u8 = undefined;
            return failure.raise(
                error.KernelFailed,
                "program {s} failed on GPU {d} at node {d}, kernel {s}{s}{s}: {s}",
                x.place(program, launch) ++ .{kept(&buffer, failure.last_message())},
            );
        };
    }

    fn launch_one(
        x: *Executable,
        program: *const Program,
        launch: *const launches.Launch,
        index: usize,
        slot: u1,
    ) Error!void {
        const gpu = x.gpu;
        if (launch.product) |number| return x.multiply(program, launch, number, slot);
        const task: Address = x.blocks[slot] + index * @sizeOf(Task);
        const parameters = [_]?*const anyopaque{ &task, &gpu.fault, &gpu.witness.address, &task };
        const begun = gpu.driver.call.cuLaunchKernel(
            x.functions[index],
            launch.grid[0],
            launch.grid[1],
            launch.grid[2],
            launch.block.threads,
            1,
            1,
            launch.block.shared_bytes,
            gpu.compute,
            &parameters,
            null,
        );
        try x.check_launch(program, launch, begun);
    }

    fn check_launch(
        x: *const Executable,
        program: *const Program,
        launch: *const launches.Launch,
        result: c_int,
    ) Error!void {
        const what = "program {s} failed on GPU {d} at node {d}, kernel {s}{s}{s}";
        try x.check(result, what, x.place(program, launch));
    }
};

fn drop(gpu: *Gpu, graph: *Handle) void {
    if (graph.* != null) _ = gpu.driver.call.cuGraphExecDestroy(graph.*);
    graph.* = null;
}

/// Adds to an error of the planning of an instruction which one it is.
fn explained(e: Error, program: *const Program, index: usize) Error {
    if (e != error.KernelFailed) return e;
    var buffer: [300]u8 = undefined;
    return failure.raise(error.KernelFailed, "{s} (program {s}, node {d}, {s})", .{
        kept(&buffer, failure.last_message()),
        program.name,
        program.instructions[0][index].node,
        program.scopes[index],
    });
}

/// A copy of a message that the next one replaces.
fn kept(buffer: []u8, message: []const u8) []const u8 {
    const copy = buffer[0..@min(buffer.len, message.len)];
    @memcpy(copy, message[0..copy.len]);
    return copy;
}

/// Where the parts of a block begin.
const Offsets = struct {
    operands: usize,
    words: usize,
    end: usize,

    fn of(plan: *const launches.Plan) Offsets {
        const operands = plan.launches.items.len * @sizeOf(Task);
        const words = operands + plan.parts.items.len * @sizeOf(abi.Operand);
        const end = words + plan.words.items.len * 4 + plan.spare_bytes;
        return .{ .operands = operands, .words = words, .end = end };
    }
};

/// `counts`: it will not run.
fn allocate(
    arena: *std.heap.ArenaAllocator,
    gpu: *Gpu,
    program: *const Program,
    counts: bool,
) Error!*Executable {
    return prepare(arena.allocator(), gpu, program, counts) catch |e| switch (e) {
        error.OutOfMemory => failure.raise(
            error.OutOfMemory,
            "no memory for the program {s} itself",
            .{program.name},
        ),
        else => |other| other,
    };
}

fn prepare(
    a: std.mem.Allocator,
    gpu: *Gpu,
    program: *const Program,
    counts: bool,
) !*Executable {
    const x = try a.create(Executable);
    x.* = .{
        .gpu = gpu,
        .arena = undefined,
        .serial = next_serial,
        .plan = .{
            .allocator = a,
            .products = gpu.products,
            .wgmma = gpu.wgmma,
            .counts = counts,
        },
        .functions = undefined,
        .first_operands = try a.alloc(u32, program.functions.len),
        .image = undefined,
    };
    next_serial +%= 1;
    if (next_serial == 0) next_serial = 1;
    errdefer x.plan.free();
    gpu.enter();
    var first: u32 = 0;
    for (program.instructions[0], 0..) |*ins, i| {
        x.first_operands[i] = first;
        const offsets = program.offsets[first..][0..ins.operand_count];
        x.plan.add(@intCast(i), ins, offsets) catch |e| return explained(e, program, i);
        first += ins.operand_count;
    }
    x.functions = try a.alloc(Handle, x.plan.launches.items.len);
    for (x.functions, x.plan.launches.items) |*to, launch|
        to.* = try gpu.function(launch.kernel);
    x.image = try a.alignedAlloc(u8, .@"8", Offsets.of(&x.plan).end);
    return x;
}
