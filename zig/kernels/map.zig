//! `map`: elementwise bytecode over strided inputs, see zig/cpu/bytecode.zig. Results may be the same memory as
//! inputs of equal dims and strides. No workspace and no scratch.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const bytecode = @import("../cpu/bytecode.zig");
const feeding = @import("../cpu/feed.zig");
const strided = @import("../cpu/strided.zig");

const Instruction = kernel.Instruction;
const Operand = kernel.Operand;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .map, .run = run, .check = check },
};

const blocks_per_tile = 32;

fn check(ins: *const Instruction) callconv(.c) ?[*:0]const u8 {
    const program = bytecode.Program.decode(ins.words[0..ins.word_count]) orelse
        return "map: the words do not hold the counts they declare";
    if (!program.sound()) return "map: unknown instruction or undefined register";
    if (ins.has_workspace != 0 or ins.operand_count != program.input_count + program.result_count)
        return "map: wrong number of operands";
    const first = ins.operand(program.input_count);
    for (0..program.result_count) |r| {
        const o = ins.operand(program.input_count + r);
        if (o.output == 0) return "map: a result is not writable";
        if (!kernel.same_dims(o, first)) return "map: results differ in dims";
        if (!strided.is_dense(o)) return "map: a result is not contiguous";
    }
    for (0..program.input_count) |i|
        if (!kernel.same_dims(ins.operand(i), first)) return "map: an input differs in dims";
    return null;
}

fn run(t: *kernel.Thread, ins: *const Instruction) callconv(.c) void {
    const program = bytecode.Program.decode(ins.words[0..ins.word_count]).?;
    const results = ins.operands + program.input_count;
    if (results[0].count() == 0) return;
    const nest = nest_of(ins.operands[0..program.input_count], &results[0]);
    const feed = feeding.Feed.init(nest, ins.operands);
    const blocks = feeding.Blocks.init(&feed);
    const tiles = strided.tile_count(blocks.count(), blocks_per_tile);

    var tile = t.claim(tiles) orelse return;
    var dtypes: [bytecode.results_max]abi.Dtype = undefined;
    for (0..program.result_count) |r| dtypes[r] = results[r].dtype;
    var machine: bytecode.Machine = undefined;
    machine.prepare(program, dtypes[0..program.result_count], true);
    while (true) {
        const from = @as(u64, tile) * blocks_per_tile;
        for (from..@min(from + blocks_per_tile, blocks.count())) |b| {
            const block = blocks.get(b);
            if (block.n > 0) run_block(&machine, &feed, results, block);
        }
        tile = t.claim(tiles) orelse return;
    }
}

fn run_block(
    machine: *bytecode.Machine,
    feed: *const feeding.Feed,
    results: [*]const Operand,
    block: feeding.Blocks.Block,
) void {
    feed.load(machine, block.start, block.n);
    for (0..machine.program.result_count) |r|
        machine.aim(r, results[r].dtype, results[r].data, block.start);
    machine.execute(block.n);
    for (0..machine.program.result_count) |r|
        machine.store(r, results[r].dtype, results[r].data, block.start, block.n);
}

/// The common dims with every input's strides; results are contiguous and follow the iteration order.
fn nest_of(inputs: []const Operand, result: *const Operand) strided.Nest {
    var nest = strided.Nest.init(@intCast(inputs.len));
    for (0..result.rank) |d| {
        var strides: [bytecode.inputs_max]u64 = undefined;
        for (inputs, 0..) |*o, i| strides[i] = o.strides[d];
        nest.append(result.dims[d], strides[0..inputs.len]);
    }
    return nest;
}

test {
    _ = @import("map_test.zig");
}
