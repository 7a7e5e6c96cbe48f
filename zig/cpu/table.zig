//! The hand-over between the kernels of one CPU level (an object of its own) and the root library.
const kernel = @import("kernel.zig");
const abi = @import("../abi.zig");

/// What a level's object exports as `theseus_kernels_<level>`.
pub const Table = extern struct {
    kernels: [*]const kernel.Kernel,
    count: u32,
    /// f32 lanes of the level's natural vector, for `theseus_device_info`.
    lanes: u32,
};

const opcode_max = max: {
    var max: u32 = 0;
    for (@typeInfo(abi.Opcode).@"enum".fields) |field| {
        if (field.value > max) max = field.value;
    }
    break :max max;
};

/// Kernels by opcode.
pub const Lookup = struct {
    by_opcode: [opcode_max + 1]?*const kernel.Kernel = @splat(null),

    pub fn init(table: *const Table) Lookup {
        var lookup: Lookup = .{};
        for (table.kernels[0..table.count]) |*entry| {
            lookup.by_opcode[@intFromEnum(entry.opcode)] = entry;
        }
        return lookup;
    }

    pub fn find(lookup: *const Lookup, opcode: abi.Opcode) ?*const kernel.Kernel {
        return lookup.by_opcode[@intFromEnum(opcode)];
    }
};
