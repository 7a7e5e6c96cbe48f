//! Launches of scatter_add and embedding_grad: ids are sorted by their rows, then each row's updates are added up. See
//! cuda/scatter_add.cu.
const abi = @import("../abi.zig");
const failure = @import("../failure.zig");
const launches = @import("launches.zig");

const Instruction = abi.Instruction;
const Operand = abi.Operand;
const Part = launches.Part;
const Plan = launches.Plan;

/// Warps that place ids: more of them read all ids more often.
const placing_warps = 1024;
/// Most rows of a warp; as PLACED_ROWS of cuda/scatter_add.cu.
const placed_rows = 128;

/// Columns of a block, and how many blocks share a row.
const stripe = 128;
const stripes_max = 64;

/// `ids`, `updates`, `base`: indices of operands; the table is the result.
pub fn add(p: *Plan, ins: *const Instruction, ids: u32, updates: u32, base: ?u32) !void {
    const workspace: u32 = ins.operand_count - 1;
    const out = workspace - 1;
    const table = ins.operand(out);
    const n = ins.operand(ids).count();
    const rows: u64 = table.dims[0];
    if (ins.has_workspace == 0 or ins.workspace().count() < rows + 1 + n)
        return failure.raise(
            error.Unsupported,
            "node {d}: a GPU adds rows in a workspace of {d} words",
            .{ ins.node, rows + 1 + n },
        );
    if (base) |from| {
        try p.copy_whole(ins, from, out);
    } else {
        try p.some(.fill, launches.quads(table), &.{launches.part(ins, out)}, &.{0});
    }
    var counts = launches.part(ins, workspace);
    counts.view.dims[0] = @intCast(rows);
    try p.some(.fill, launches.quads(&counts.view), &.{counts}, &.{0});
    const parts = [_]Part{
        launches.part(ins, ids),
        launches.part(ins, updates),
        launches.part(ins, out),
        launches.part(ins, workspace),
    };
    try p.some(.scatter_count, launches.elements_of(n), &parts, &.{});
    try p.some(.scatter_scan, .{ 1, 1, 1 }, &parts, &.{});
    const placing = @max(@min(placing_warps, rows), launches.ceil(rows, placed_rows));
    const blocks = launches.warps(placing);
    // A block's shared memory has room for so many rows and no more.
    if (@as(u64, blocks[0]) * (launches.threads / 32) < placing) return failure.raise(
        error.Unsupported,
        "node {d}: a GPU adds into a table of at most {d} rows",
        .{ ins.node, @as(u64, blocks[0]) * (launches.threads / 32) * placed_rows },
    );
    try p.some(.scatter_place, blocks, &parts, &.{});
    var grid = launches.warps(rows);
    grid[1] = @min(stripes_max, launches.ceil(table.count() / rows, stripe));
    try p.some(.scatter_add, grid, &parts, &.{});
}
