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
    root.addImport("cuda_image", cuda_image(b));

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
    add_virtual_gpu(b);
}

/// Kernels for Ampere and Hopper, and PTX that the driver compiles for what is newer.
const architectures = [_]struct { name: []const u8, gencode: []const u8 }{
    .{ .name = "sm_80", .gencode = "-gencode=arch=compute_80,code=sm_80" },
    .{ .name = "sm_90a", .gencode = "-gencode=arch=compute_90a,code=sm_90a" },
    .{ .name = "PTX 9.0", .gencode = "-gencode=arch=compute_90,code=compute_90" },
};

const image_source =
    \\//! Made by build.zig.
    \\pub const bytes: ?[]const u8 = {s};
    \\pub const architectures: []const []const u8 = &.{{ {s} }};
    \\
;

/// A module with the fat binary of cuda/*.cu, or with null where there is no nvcc.
fn cuda_image(b: *std.Build) *std.Build.Module {
    const wanted = b.option(bool, "cuda", "compile the CUDA kernels (default: when nvcc is found)");
    const files = b.addWriteFiles();
    const nvcc = if (wanted orelse true) find_nvcc(b) else null;
    if (nvcc) |path| {
        const run = b.addSystemCommand(&.{ path, "-fatbin", "-O3", "-std=c++17", "--threads=0" });
        for (architectures) |each| run.addArg(each.gencode);
        run.addArg("-o");
        const fatbin = run.addOutputFileArg("theseus.fatbin");
        run.addFileArg(b.path("cuda/theseus.cu"));
        for (cuda_sources(b)) |source| run.addFileInput(b.path(source));
        _ = files.addCopyFile(fatbin, "theseus.fatbin");
    } else if (wanted == null) {
        std.debug.print("build: no nvcc (PATH, CUDA_HOME, .tools/cuda): CUDA kernels are left out; " ++
            "scripts/setup --cuda installs it\n", .{});
    } else if (wanted.?) @panic("no nvcc was found: scripts/setup --cuda installs it");
    // The driver reads words of it.
    const text = if (nvcc == null)
        "null"
    else
        "&struct { const image align(64) = @embedFile(\"theseus.fatbin\").*; }.image";
    var names: []const u8 = "";
    if (nvcc != null) {
        for (architectures) |each| names = b.fmt("{s}\"{s}\", ", .{ names, each.name });
    }
    const source = b.fmt(image_source, .{ text, names });
    return b.createModule(.{ .root_source_file = files.add("cuda_image.zig", source) });
}

fn find_nvcc(b: *std.Build) ?[]const u8 {
    const home = b.graph.environ_map.get("CUDA_HOME") orelse "";
    const places: []const []const u8 = if (home.len > 0)
        &.{ b.pathJoin(&.{ home, "bin" }), b.pathFromRoot(".tools/cuda/nvidia/cu13/bin") }
    else
        &.{b.pathFromRoot(".tools/cuda/nvidia/cu13/bin")};
    return b.findProgram(&.{"nvcc"}, places) catch null;
}

/// What the fat binary depends on: nvcc's own search of the headers is not seen by the build.
fn cuda_sources(b: *std.Build) []const []const u8 {
    var list: std.ArrayList([]const u8) = .empty;
    const io = b.graph.io;
    var folder = b.build_root.handle.openDir(io, "cuda", .{ .iterate = true }) catch return &.{};
    defer folder.close(io);
    var walk = folder.iterate();
    while (walk.next(io) catch null) |entry| {
        if (entry.kind != .file) continue;
        list.append(b.allocator, b.fmt("cuda/{s}", .{entry.name})) catch return &.{};
    }
    return list.items;
}

/// The stand-ins of tests/virtual_gpu for the NVIDIA driver, in zig-out/virtual_gpu; never part of the library.
fn add_virtual_gpu(b: *std.Build) void {
    const step = b.step("virtual-gpu", "Build the virtual GPU of the tests");
    const flags = [_][]const u8{
        "-std=c++17",          "-fno-exceptions",   "-fno-rtti",             "-fno-stack-protector",
        "-fvisibility=hidden", "-fno-sanitize=all", "-DTHESEUS_VIRTUAL_GPU",
        // What a GPU refuses or does in its own way, and this machine does not show: such an access ends the process.
        "-fsanitize=alignment,bounds,shift,integer-divide-by-zero,float-cast-overflow",
        "-fsanitize-trap=all",
    };
    var driver: ?*std.Build.Step.Compile = null;
    // Some are looked for by the name of what they stand in for.
    const files = [_]struct { []const u8, ?[]const u8 }{
        .{ "driver.cpp", null },
        .{ "old_driver.cpp", null },
        .{ "emulation.cpp", null },
        .{ "cublaslt.cpp", "libcublasLt.so.13" },
        .{ "nccl.cpp", "libnccl.so.2" },
    };
    for (files) |each| {
        const file, const installed = each;
        const module = b.createModule(.{
            .target = target(b, "x86_64_v3"),
            .optimize = .ReleaseFast,
            .link_libc = true,
            .pic = true,
        });
        module.addIncludePath(b.path("tests/virtual_gpu"));
        const source = b.path(b.fmt("tests/virtual_gpu/{s}", .{file}));
        module.addCSourceFile(.{ .file = source, .flags = &flags });
        const name = file[0 .. file.len - ".cpp".len];
        const artifact = if (std.mem.eql(u8, name, "emulation"))
            b.addExecutable(.{ .name = name, .root_module = module, .use_llvm = true })
        else
            b.addLibrary(.{
                .name = name,
                .linkage = .dynamic,
                .root_module = module,
                .use_llvm = true,
            });
        if (driver == null) driver = artifact;
        if (std.mem.eql(u8, name, "cublaslt")) {
            // Its work goes into the driver's streams.
            module.linkLibrary(driver.?);
            module.addRPathSpecial("$ORIGIN");
        }
        const install = b.addInstallArtifact(artifact, .{
            .dest_dir = .{ .override = .{ .custom = "virtual_gpu" } },
            .dest_sub_path = installed,
        });
        step.dependOn(&install.step);
    }
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
    const no_image = b.addWriteFiles().add("cuda_image.zig", b.fmt(image_source, .{ "null", "" }));
    module.addImport("cuda_image", b.createModule(.{ .root_source_file = no_image }));
    const tests = b.addTest(.{
        .name = "theseus-tests",
        .root_module = module,
        .filters = filters orelse &.{},
        .use_llvm = true,
    });
    const step = b.step("test", "Run the unit tests");
    step.dependOn(&b.addRunArtifact(tests).step);
    add_number_checks(b, step);
}

/// C++ that compiles only where NVIDIA's headers agree with what zig/cuda and tests/virtual_gpu say about them.
fn add_number_checks(b: *std.Build, step: *std.Build.Step) void {
    const headers = find_headers(b) orelse {
        const left_out = b.addSystemCommand(&.{ "echo", "no cuda.h and cublasLt.h (scripts/setup --cuda installs them): " ++
            "numbers and layouts are not compared with them" });
        return step.dependOn(&left_out.step);
    };
    const writer = b.addExecutable(.{
        .name = "cuda-numbers",
        .root_module = b.createModule(.{
            .root_source_file = b.path("zig/cuda_numbers.zig"),
            .target = b.resolveTargetQuery(.{}),
            .link_libc = true,
        }),
    });
    const run = b.addRunArtifact(writer);
    const source = run.addOutputFileArg("cuda_numbers.cpp");
    const module = b.createModule(.{ .target = target(b, "x86_64_v3"), .link_libc = true });
    module.addIncludePath(.{ .cwd_relative = headers });
    module.addIncludePath(b.path("tests/virtual_gpu"));
    module.addCSourceFile(.{ .file = source, .flags = &.{"-std=c++17"} });
    step.dependOn(&b.addObject(.{ .name = "cuda-numbers", .root_module = module }).step);
}

/// The folder of cuda.h and cublasLt.h, where there is one.
fn find_headers(b: *std.Build) ?[]const u8 {
    const home = b.graph.environ_map.get("CUDA_HOME") orelse "";
    const places = [_][]const u8{
        b.pathFromRoot(".tools/cuda/nvidia/cu13/include"),
        if (home.len > 0) b.pathJoin(&.{ home, "include" }) else "/usr/local/cuda/include",
    };
    for (places) |place| {
        const path = b.pathJoin(&.{ place, "cublasLt.h" });
        b.build_root.handle.access(b.graph.io, path, .{}) catch continue;
        return place;
    }
    return null;
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
