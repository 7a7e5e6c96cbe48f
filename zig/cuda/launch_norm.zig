//! Launches of the norms. Kernels differ in how much of a row a thread keeps in registers: see cuda/norm.h. A gradient is
//! dx with sums over the rows of each block, then the sums of all blocks.
const abi = @import("../abi.zig");
const launches = @import("launches.zig");

const Instruction = abi.Instruction;
const Kernel = launches.Kernel;
const Part = launches.Part;
const Plan = launches.Plan;

/// Four blocks on each multiprocessor of an H100.
const blocks_max = 528;
/// Rows that have one line of sums in the workspace; as PARTIAL_ROWS of src/ops/fused/workspace.ts.
const partial_rows = 32;
/// Columns of a block; as COLUMNS of cuda/columns.h.
const columns = 32;

pub fn forward(p: *Plan, ins: *const Instruction) !void {
    const x = ins.operand(0);
    const centred = ins.opcode == .layer_norm;
    const kernel: Kernel = switch (launches.last(x)) {
        0...256 => if (centred) .layer_norm_256 else .rms_norm_256,
        257...768 => if (centred) .layer_norm_768 else .rms_norm_768,
        769...2048 => if (centred) .layer_norm_2048 else .rms_norm_2048,
        else => if (centred) .layer_norm_long else .rms_norm_long,
    };
    const m = launches.row_count(x);
    try p.whole(kernel, ins, if (launches.last(x) > 768) launches.rows(m) else launches.warps(m));
}

pub fn gradient(p: *Plan, ins: *const Instruction) !void {
    const x = ins.operand(0);
    const centred = ins.opcode == .layer_norm_grad;
    const kernel: Kernel = switch (launches.last(x)) {
        0...256 => if (centred) .layer_norm_grad_256 else .rms_norm_grad_256,
        257...1024 => if (centred) .layer_norm_grad_1024 else .rms_norm_grad_1024,
        1025...2048 => if (centred) .layer_norm_grad_2048 else .rms_norm_grad_2048,
        else => if (centred) .layer_norm_grad_long else .rms_norm_grad_long,
    };
    const workspace: u32 = ins.operand_count - 1;
    // All results but dx.
    var sums: u32 = 0;
    while (ins.operand(workspace - sums - 2).output == 1) sums += 1;
    const blocks = @min(blocks_max, launches.ceil(launches.row_count(x), partial_rows));
    try p.whole(kernel, ins, .{ blocks, 1, 1 });
    var parts: [8]Part = undefined;
    parts[0] = launches.part(ins, workspace);
    for (parts[1 .. 1 + sums], workspace - sums..) |*to, i| to.* = launches.part(ins, @intCast(i));
    const grid = .{ launches.ceil(launches.last(x), columns), sums, 1 };
    try p.some(.join_columns, grid, parts[0 .. 1 + sums], &.{blocks});
}
