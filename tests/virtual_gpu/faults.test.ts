/** @file What a missing, old or failing GPU says on the command line: one clear line and exit code 3, or the CPU. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { SMALL_CONFIG, Workplace } from "../cli/command_line.ts";
import { DRIVER, OLD_DRIVER, useVirtualGpu } from "./virtual_gpu.ts";

const place = new Workplace();
useVirtualGpu();
beforeAll(() => {
  place.file("run.yaml", SMALL_CONFIG);
});
afterAll(() => place.remove());

/** Each runs the whole program once or more. */
setDefaultTimeout(30_000);

let runs = 0;

async function train(device: string, env: Readonly<Record<string, string>>) {
  const args = ["run", `run${runs++}`, "run.yaml", ".", `training.device=${device}`];
  const { code, stderr } = await place.run(args, { THESEUS_CUDA_DRIVER: DRIVER, ...env });
  return { code, stderr };
}

const PRODUCT_FAILS =
  /program \w+ failed on GPU 0 at node \d+, kernel matmul, \w+.*: CUBLAS_STATUS_EXECUTION_FAILED/;

const FAULTS: [string, string, Record<string, string>, RegExp][] = [
  ["no driver", "cuda", { THESEUS_CUDA_DRIVER: "/none/libcuda.so.1" }, /install driver 580/],
  ["half a driver", "cuda", { THESEUS_CUDA_DRIVER: OLD_DRIVER }, /too old: it has no cu\w+/],
  ["CUDA 12", "cuda", { THESEUS_VGPU_DRIVER: "12040" }, /serves CUDA 12.4, CUDA 13.0 is needed/],
  ["a GPU that is too old", "cuda", { THESEUS_VGPU_CAPABILITY: "75" }, /capability 7.5/],
  [
    "wgmma on another GPU than Hopper",
    "cuda",
    { THESEUS_VGPU_CAPABILITY: "80", THESEUS_CUDA_WGMMA: "1" },
    /attention by wgmma needs a GPU of compute capability 9.0 .*has 8.0/,
  ],
  [
    "another version's driver",
    "cuda",
    { THESEUS_VGPU_FAIL_INIT: "803" },
    /MISMATCH \(803\); libcuda.so.1 and/,
  ],
  [
    "switches that are down",
    "cuda",
    { THESEUS_VGPU_FAIL_INIT: "802" },
    /NOT_READY \(802\); the GPUs' switches/,
  ],
  [
    "a GPU of another process",
    "cuda",
    { THESEUS_VGPU_FAIL_CONTEXT: "46" },
    /\(46\); another process/,
  ],
  ["an index out of range", "cuda:3", {}, /there is no GPU 3: this process sees 1/],
  ["a product", "cuda", { THESEUS_VGPU_FAIL_MATMUL: "1", THESEUS_CUDA_TUNE: "0" }, PRODUCT_FAILS],
  ["all GPUs hidden", "cuda", { CUDA_VISIBLE_DEVICES: "" }, /CUDA_VISIBLE_DEVICES hides it/],
  [
    "the tenth allocation",
    "cuda",
    { THESEUS_VGPU_FAIL_ALLOC: "10" },
    /bytes do not fit into GPU 0/,
  ],
  [
    "a GPU that others have filled",
    "cuda",
    { THESEUS_VGPU_TAKEN: "4294900000" },
    /bytes do not fit into GPU 0 .*which has \d+ of \d+ bytes free.*\nhint: other processes/,
  ],
  ["little memory", "cuda", { THESEUS_VGPU_MEMORY: "1200000" }, /MiB of memory/],
  [
    "a kernel",
    "cuda",
    { THESEUS_VGPU_FAIL_LAUNCH: "90" },
    /program \w+ failed on GPU 0.*ILLEGAL_ADDR/,
  ],
];

test.each(FAULTS)("%s", async (_, device, env, message) => {
  const { code, stderr } = await train(device, env);
  expect(stderr).toMatch(message);
  expect(code).toBe(3);
  expect(stderr).not.toContain("    at ");
});

test("one kernel at a time, the failing one is named", async () => {
  const env = { THESEUS_VGPU_FAIL_LAUNCH: "90", THESEUS_CUDA_STEPWISE: "1" };
  const { code, stderr } = await train("cuda", env);
  expect(stderr).toMatch(/program \w+ failed on GPU 0 at node \d+, kernel \w+/);
  expect(code).toBe(3);
});

/** A driver away from the stand-in for cuBLASLt; a real one, where it is installed, is not for a virtual GPU. */
function lonelyDriver(): string {
  const folder = join(place.path, "driver");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, "libdriver.so");
  if (!existsSync(path)) copyFileSync(DRIVER, path);
  return path;
}

test("no cuBLASLt: named, and auto goes on with the CPU", async () => {
  const env = { THESEUS_CUDA_DRIVER: lonelyDriver() };
  const message = /no cuBLASLt: libcublasLt.so.13 was not found.*install.*THESEUS_CUDA_LIBRARIES/;
  const named = await train("cuda", env);
  expect(named.code).toBe(3);
  expect(named.stderr).toMatch(message);
  const auto = await train("auto", env);
  expect(auto.code).toBe(0);
  expect(auto.stderr).toMatch(message);
  const found = await train("cuda", { ...env, THESEUS_CUDA_LIBRARIES: `/none:${dirname(DRIVER)}` });
  expect(found.code).toBe(0);
});

test("auto says nothing without a driver, and why where there is one", async () => {
  const silent = await train("auto", { THESEUS_CUDA_DRIVER: "/none/libcuda.so.1" });
  expect(silent.code).toBe(0);
  expect(silent.stderr).not.toMatch(/cuda|GPU|driver/i);
  const old = await train("auto", { THESEUS_VGPU_DRIVER: "12040" });
  expect(old.code).toBe(0);
  expect(old.stderr).toMatch(/using the CPU: .*CUDA 13.0 is needed/);
});

test("a driver and libraries in folders that the configuration names", async () => {
  const folder = join(place.path, "named");
  mkdirSync(folder);
  copyFileSync(DRIVER, join(folder, "libcuda.so.1"));
  copyFileSync(join(dirname(DRIVER), "libcublasLt.so.13"), join(folder, "libcublasLt.so.13"));
  const settings = [`training.cuda_libraries=[${folder}]`, "training.steps=2"];
  const args = ["run", "named", "run.yaml", ".", "training.device=cuda", ...settings];
  const { code, stderr } = await place.run(args, { THESEUS_CUDA_DRIVER: "" });
  expect(stderr).toContain("on GPU 0 (virtual GPU)");
  expect(code).toBe(0);
});
