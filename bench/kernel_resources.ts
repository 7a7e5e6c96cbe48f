/**
 * @file What nvcc gives every kernel of cuda/: registers, bytes spilled and of local memory, and how many warps of it a multiprocessor's
 * registers hold (of 64, or 48 where compute capability ends in 6 or 9). Needs nvcc, no GPU; half a minute an architecture.
 *
 *     bun bench/kernel_resources.ts [--arch sm_80,sm_90a] [--spills]
 *
 * `--spills` shows only kernels that spill or have local memory.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    arch: { type: "string", default: "sm_80,sm_90a" },
    spills: { type: "boolean", default: false },
  },
});
const root = join(import.meta.dir, "..");

/** 32-bit registers of a multiprocessor, given out to warps by multiples of 256. */
const REGISTERS = 65_536;
const UNIT = 256;

interface Resources {
  readonly registers: number;
  readonly stack: number;
  readonly spilled: number;
}

function nvcc(): string {
  const home = process.env.CUDA_HOME;
  const own = join(root, ".tools/cuda/nvidia/cu13/bin/nvcc");
  const places = [...(home === undefined ? [] : [join(home, "bin/nvcc")]), own, Bun.which("nvcc")];
  const found = places.find((path) => path !== null && existsSync(path));
  if (found === undefined || found === null) throw new Error("no nvcc: scripts/setup --cuda");
  return found;
}

/** What the assembler says of each kernel. */
function resourcesOf(arch: string): Map<string, Resources> {
  const number = arch.replace("sm_", "");
  const code = `-gencode=arch=compute_${number},code=${arch}`;
  const flags = ["-cubin", "-O3", "-std=c++17", "-Xptxas", "-v", code, "-o", "/dev/null"];
  const made = Bun.spawnSync([nvcc(), ...flags, join(root, "cuda/theseus.cu")]);
  const text = made.stderr.toString();
  if (made.exitCode !== 0) throw new Error(text);
  const found = new Map<string, Resources>();
  for (const part of text.split("Compiling entry function '").slice(1)) {
    const count = (pattern: RegExp): number => Number(pattern.exec(part)?.[1] ?? 0);
    found.set(part.slice(0, part.indexOf("'")), {
      registers: count(/Used (\d+) registers/),
      stack: count(/(\d+) bytes stack frame/),
      spilled: count(/(\d+) bytes spill stores/),
    });
  }
  return found;
}

const warps = (registers: number): number =>
  Math.floor(REGISTERS / (Math.ceil((registers * 32) / UNIT) * UNIT));

for (const arch of values.arch.split(",")) {
  const all = Array.from(resourcesOf(arch)).sort(([a], [b]) => (a < b ? -1 : 1));
  const shown = values.spills ? all.filter(([, r]) => r.spilled + r.stack > 0) : all;
  const width = Math.max(...shown.map(([name]) => name.length), 6);
  console.log(`${arch.padEnd(width)}  registers  warps  spilled  local`);
  for (const [name, { registers, spilled, stack }] of shown) {
    const cells = [
      String(registers).padStart(9),
      String(warps(registers)).padStart(5),
      String(spilled).padStart(7),
      String(stack).padStart(5),
    ];
    console.log(`${name.padEnd(width)}  ${cells.join("  ")}`);
  }
}
