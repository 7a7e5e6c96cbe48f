//! Builds libtheseus.so: a root for any x86-64-v2 machine (safety checks on) that carries the CPU kernels once per
//! level (fast), chosen when a device is opened. `zig build -Dlevels=v4` compiles one level only, for quick cycles.
const std = @import("std");

const Level = struct { name: []const u8, features: []const u8 };

const levels = [_]Level{
    .{ .name = "v3", .features = "x86_64_v3" },
    .{ .name = "v4", .features = "x86_64_v4" },
    .{ .name = "v4_bf16", .features = "x86_64_v4+avx512bf16" },
};

/// Old enough for the login nodes of clusters.
const platform = "x86_64-linux-gnu.2.28";

pub fn build(b: *std.Build) void {
    const kernel_mode = b.option(
        Mode,
        "kernels",
        "optimize mode of the kernels (default ReleaseFast)",
    ) orelse .ReleaseFast;
    const wanted = b.option([]const []const u8, "levels", "CPU levels to compile (default all)");

    const root = b.createModule(.{
        .root_source_file = b.path("zig/library.zig"),
        .target = target(b, "x86_64_v2"),
        .optimize = .ReleaseSafe,
        .link_libc = true,
        .strip = false,
    });
    const options = b.addOptions();
    for (levels) |level| {
        const built = is_wanted(wanted, level.name);
        options.addOption(bool, level.name, built);
        if (built) root.addObject(level_object(b, level, kernel_mode));
    }
    root.addOptions("levels", options);

    const library = b.addLibrary(.{
        .name = "theseus",
        .linkage = .dynamic,
        .root_module = root,
        .use_llvm = true,
    });
    library.link_gc_sections = true;
    b.installArtifact(library);

    add_tests(b);
    add_benches(b);
}

const Mode = std.builtin.OptimizeMode;

fn level_object(b: *std.Build, level: Level, mode: Mode) *std.Build.Step.Compile {
    const options = b.addOptions();
    options.addOption([]const u8, "name", level.name);
    const module = b.createModule(.{
        .root_source_file = b.path("zig/level.zig"),
        .target = target(b, level.features),
        .optimize = mode,
        .link_libc = true,
        .pic = true,
    });
    module.addOptions("level", options);
    return b.addObject(.{
        .name = b.fmt("kernels_{s}", .{level.name}),
        .root_module = module,
        .use_llvm = true,
    });
}

/// Kernel benches for this machine's own CPU, in zig-out/bench; bench/kernels runs them.
fn add_benches(b: *std.Build) void {
    const step = b.step("bench", "Build the kernel benches");
    for ([_][]const u8{ "gemm", "attention", "rows", "basic" }) |name| {
        const bench = b.addExecutable(.{
            .name = name,
            .root_module = b.createModule(.{
                .root_source_file = b.path(b.fmt("zig/bench_{s}.zig", .{name})),
                .target = b.resolveTargetQuery(.{}),
                .optimize = .ReleaseFast,
                .link_libc = true,
            }),
            .use_llvm = true,
        });
        const install = b.addInstallArtifact(bench, .{
            .dest_dir = .{ .override = .{ .custom = "bench" } },
        });
        step.dependOn(&install.step);
    }
}

/// Unit tests of every Zig file, compiled for this machine with all safety checks on.
fn add_tests(b: *std.Build) void {
    const filters = b.option([]const []const u8, "test-filter", "run only tests with this in their name");
    const level = b.addOptions();
    level.addOption([]const u8, "name", "native");
    const module = b.createModule(.{
        .root_source_file = b.path("zig/tests.zig"),
        .target = b.resolveTargetQuery(.{}),
        .optimize = .ReleaseSafe,
        .link_libc = true,
    });
    module.addOptions("level", level);
    const none = b.addOptions();
    for (levels) |each| none.addOption(bool, each.name, false);
    module.addOptions("levels", none);
    const tests = b.addTest(.{
        .name = "theseus-tests",
        .root_module = module,
        .filters = filters orelse &.{},
        .use_llvm = true,
    });
    b.step("test", "Run the unit tests").dependOn(&b.addRunArtifact(tests).step);
}

fn target(b: *std.Build, features: []const u8) std.Build.ResolvedTarget {
    const query = std.Target.Query.parse(.{
        .arch_os_abi = platform,
        .cpu_features = features,
    }) catch @panic("the target triple is a constant of this file");
    return b.resolveTargetQuery(query);
}

fn is_wanted(wanted: ?[]const []const u8, name: []const u8) bool {
    for (wanted orelse return true) |each| {
        if (std.mem.eql(u8, each, name)) return true;
    }
    return false;
}
