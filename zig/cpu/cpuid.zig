//! Which x86-64 level this CPU and its operating system support. A feature counts only when the system also
//! saves the registers that it uses (XCR0), which a virtual machine or an old kernel may not do.
const std = @import("std");

pub const Level = enum(u8) {
    /// Below x86-64-v3: no kernels run here.
    none = 0,
    v3 = 1,
    v4 = 2,
    v4_bf16 = 3,
};

pub const Features = struct {
    avx: bool = false,
    avx2: bool = false,
    fma: bool = false,
    f16c: bool = false,
    bmi1: bool = false,
    bmi2: bool = false,
    movbe: bool = false,
    lzcnt: bool = false,
    avx512f: bool = false,
    avx512dq: bool = false,
    avx512cd: bool = false,
    avx512bw: bool = false,
    avx512vl: bool = false,
    avx512bf16: bool = false,
    /// The system saves the upper halves of the 256-bit registers.
    saves_avx: bool = false,
    /// ... and the 512-bit and mask registers.
    saves_avx512: bool = false,

    pub fn level(f: Features) Level {
        const v3 = f.avx and f.avx2 and f.fma and f.f16c and f.bmi1 and f.bmi2 and f.movbe and
            f.lzcnt and f.saves_avx;
        if (!v3) return .none;
        const v4 = f.avx512f and f.avx512dq and f.avx512cd and f.avx512bw and f.avx512vl and
            f.saves_avx512;
        if (!v4) return .v3;
        return if (f.avx512bf16) .v4_bf16 else .v4;
    }
};

const Leaf = struct { eax: u32, ebx: u32, ecx: u32, edx: u32 };

fn cpuid(leaf: u32, subleaf: u32) Leaf {
    var eax: u32 = undefined;
    var ebx: u32 = undefined;
    var ecx: u32 = undefined;
    var edx: u32 = undefined;
    asm volatile ("cpuid"
        : [_] "={eax}" (eax),
          [_] "={ebx}" (ebx),
          [_] "={ecx}" (ecx),
          [_] "={edx}" (edx),
        : [_] "{eax}" (leaf),
          [_] "{ecx}" (subleaf),
    );
    return .{ .eax = eax, .ebx = ebx, .ecx = ecx, .edx = edx };
}

/// Only where CPUID says OSXSAVE.
fn xcr0() u32 {
    return asm volatile (
        \\ xor %%ecx, %%ecx
        \\ xgetbv
        : [_] "={eax}" (-> u32),
        :
        : .{ .edx = true, .ecx = true });
}

fn bit(word: u32, index: u5) bool {
    return (word >> index) & 1 != 0;
}

pub fn detect() Features {
    var f: Features = .{};
    const highest = cpuid(0, 0).eax;
    if (highest < 7) return f;
    const one = cpuid(1, 0);
    f.avx = bit(one.ecx, 28);
    f.fma = bit(one.ecx, 12);
    f.f16c = bit(one.ecx, 29);
    f.movbe = bit(one.ecx, 22);
    if (bit(one.ecx, 27)) {
        const saved = xcr0();
        f.saves_avx = saved & 0b110 == 0b110;
        f.saves_avx512 = saved & 0b1110_0110 == 0b1110_0110;
    }
    const seven = cpuid(7, 0);
    f.bmi1 = bit(seven.ebx, 3);
    f.avx2 = bit(seven.ebx, 5);
    f.bmi2 = bit(seven.ebx, 8);
    f.avx512f = bit(seven.ebx, 16);
    f.avx512dq = bit(seven.ebx, 17);
    f.avx512cd = bit(seven.ebx, 28);
    f.avx512bw = bit(seven.ebx, 30);
    f.avx512vl = bit(seven.ebx, 31);
    if (seven.eax >= 1) f.avx512bf16 = bit(cpuid(7, 1).eax, 5);
    if (cpuid(0x8000_0000, 0).eax >= 0x8000_0001) f.lzcnt = bit(cpuid(0x8000_0001, 0).ecx, 5);
    return f;
}

/// The CPU's own name, without the padding it comes with.
pub fn brand(buffer: *[48]u8) []const u8 {
    if (cpuid(0x8000_0000, 0).eax < 0x8000_0004) return "unknown";
    for (0..3) |i| {
        const leaf = cpuid(0x8000_0002 + @as(u32, @intCast(i)), 0);
        const words = [4]u32{ leaf.eax, leaf.ebx, leaf.ecx, leaf.edx };
        buffer[16 * i ..][0..16].* = @bitCast(words);
    }
    const name = std.mem.trim(u8, std.mem.sliceTo(buffer, 0), " ");
    return if (std.unicode.utf8ValidateSlice(name)) name else "unknown";
}

test "a level needs every one of its features and the system's support" {
    const v3: Features = .{
        .avx = true,
        .avx2 = true,
        .fma = true,
        .f16c = true,
        .bmi1 = true,
        .bmi2 = true,
        .movbe = true,
        .lzcnt = true,
        .saves_avx = true,
    };
    try std.testing.expectEqual(Level.v3, v3.level());
    var old = v3;
    old.fma = false;
    try std.testing.expectEqual(Level.none, old.level());
    var unsaved = v3;
    unsaved.saves_avx = false;
    try std.testing.expectEqual(Level.none, unsaved.level());

    var v4 = v3;
    const added = .{ "avx512f", "avx512dq", "avx512cd", "avx512bw", "avx512vl" };
    inline for (added) |name| @field(v4, name) = true;
    try std.testing.expectEqual(Level.v3, v4.level());
    v4.saves_avx512 = true;
    try std.testing.expectEqual(Level.v4, v4.level());
    v4.avx512bf16 = true;
    try std.testing.expectEqual(Level.v4_bf16, v4.level());
}

test "detection agrees with the compiler's idea of this machine" {
    const builtin = @import("builtin");
    const has = std.Target.x86.featureSetHas;
    const features = builtin.cpu.features;
    const found = detect();
    try std.testing.expectEqual(has(features, .avx2), found.avx2 and found.saves_avx);
    try std.testing.expectEqual(
        has(features, .avx512bf16),
        found.avx512bf16 and found.saves_avx512,
    );
}
