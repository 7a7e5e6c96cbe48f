/**
 * @file The virtual GPU: tests open it as a driver, so everything up to libcuda runs as it would on a GPU. What it shows
 * about kernels is logic, not speed, and nothing about a real GPU.
 */
import { beforeAll } from "bun:test";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Device, openGpu } from "../../src/runtime/index.ts";
import { assert } from "../../src/util/errors.ts";

const root = join(import.meta.dir, "../..");
const folder = join(root, "zig-out/virtual_gpu");

export const DRIVER = join(folder, "libdriver.so");
/** Opens, but lacks most functions. */
export const OLD_DRIVER = join(folder, "libold_driver.so");
/** Runs small kernels by name, right ones and faulty ones (emulation.cpp). */
export const EMULATION = join(folder, "emulation");

/** The GPU of the tests; THESEUS_TEST_GPU=1 takes the machine's own (scripts/gpu-check). */
export function openTestGpu(): Device {
  if (process.env.THESEUS_TEST_GPU === "1") return openGpu(0, { driver: "" });
  buildVirtualGpu();
  return openGpu(0, { driver: DRIVER });
}

/** What `open` opens takes the library's first proposals: products run only where a program wants them. */
export function untuned<T>(open: () => T): T {
  process.env.THESEUS_CUDA_TUNE = "0";
  try {
    return open();
  } finally {
    delete process.env.THESEUS_CUDA_TUNE;
  }
}

/** The stand-in for cuBLASLt lies beside the driver, where it is found without being configured. */
export const CUBLASLT = join(folder, "libcublasLt.so.13");

/** As is the one for NCCL. */
export const NCCL = join(folder, "libnccl.so.2");

const BUILT = [DRIVER, OLD_DRIVER, EMULATION, CUBLASLT, NCCL];

/** Minutes on a busy machine, which bun's own limit of a hook is not made for. */
const BUILD_LIMIT_MS = 300_000;

/** For test files whose children open it. */
export function useVirtualGpu(): void {
  beforeAll(buildVirtualGpu, BUILD_LIMIT_MS);
}

/** Builds all of it when a source is newer. */
export function buildVirtualGpu(): void {
  const changed = (file: string): number => (existsSync(file) ? statSync(file).mtimeMs : 0);
  const sources = ["cuda", "tests/virtual_gpu"].flatMap((under) =>
    readdirSync(join(root, under))
      .filter((name) => /\.(cu|h|cpp)$/.test(name))
      .map((name) => join(root, under, name)),
  );
  const newest = Math.max(...sources.map(changed));
  if (Math.min(...BUILT.map(changed)) > newest) return;
  const local = join(root, ".tools/bin/zig");
  const zig = existsSync(local) ? local : "zig";
  const built = Bun.spawnSync([zig, "build", "virtual-gpu"], { cwd: root, stderr: "pipe" });
  assert(built.exitCode === 0, `zig build virtual-gpu: ${built.stderr.toString()}`);
  // An unchanged build leaves the old time.
  const now = new Date();
  for (const file of BUILT) Bun.spawnSync(["touch", "-d", now.toISOString(), file]);
}
