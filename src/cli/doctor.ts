/** @file theseus doctor: what this machine offers, and what is wrong with it, each with a way out. */
import { accessSync, constants, existsSync, readFileSync, statfsSync } from "node:fs";
import { cpus, freemem, totalmem } from "node:os";
import { join } from "node:path";
import { libraryInfo, openDevice } from "../runtime/index.ts";
import { UserError } from "../util/errors.ts";
import { bytesText } from "../util/quantities.ts";
import { VERSION } from "../util/version.ts";
import { command } from "./command.ts";
import { cudaChecks } from "./doctor_cuda.ts";
import { tableText } from "./format.ts";
import { rootArgs, rootOf } from "./place.ts";

export interface Check {
  readonly name: string;
  readonly state: "ok" | "warn" | "fail";
  readonly detail: string;
  readonly fix?: string;
}

const FEATURES = ["avx2", "fma", "avx512f", "avx512bw", "avx512_bf16", "amx_bf16"];

function cpuCheck(): Check {
  const flags = new Set(
    /^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1]?.split(" "),
  );
  const has = FEATURES.filter((feature) => flags.has(feature));
  const model = cpus()[0]?.model ?? "unknown";
  const detail = `${model}; ${has.length === 0 ? "none of AVX2 or newer" : has.join(" ")}`;
  return has.includes("avx2") && has.includes("fma")
    ? { name: "cpu", state: "ok", detail }
    : { name: "cpu", state: "fail", detail, fix: "a CPU of level x86-64-v3 (2013 or newer)" };
}

function libraryChecks(): Check[] {
  try {
    const { path, levels, cuda } = libraryInfo();
    const device = openDevice();
    const { level, threads, memory_bytes } = device.info;
    device.close();
    return [
      {
        name: "library",
        state: "ok",
        detail: `${path} (levels ${levels.join(", ")}${cuda.length > 0 ? ", CUDA" : ""})`,
      },
      { name: "kernels", state: "ok", detail: `level ${level}` },
      { name: "threads", state: "ok", detail: `${threads} of ${cpus().length} logical CPUs` },
      { name: "usable memory", state: "ok", detail: bytesText(memory_bytes) },
    ];
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const { message: detail, hint } = error;
    const check: Check = { name: "library", state: "fail", detail };
    return [hint === undefined ? check : { ...check, fix: hint }];
  }
}

function rootCheck(root: string): Check {
  let folder = root;
  while (!existsSync(folder) && folder !== "." && folder !== "/") folder = join(folder, "..");
  const { bavail, bsize } = statfsSync(folder);
  const detail = `${root}: ${bytesText(bavail * bsize)} free`;
  try {
    accessSync(folder, constants.W_OK);
    return { name: "root", state: "ok", detail };
  } catch {
    const fix = "name another folder with --root or THESEUS_ROOT";
    return { name: "root", state: "fail", detail: `${root} is not writable`, fix };
  }
}

export default command({
  name: "doctor",
  summary: "what this machine offers and lacks",
  examples: ["theseus doctor", "theseus doctor --json"],
  args: rootArgs,
  async run({ args }) {
    const memory = `${bytesText(totalmem())}, ${bytesText(freemem())} free`;
    const checks: Check[] = [
      { name: "theseus", state: "ok", detail: `${VERSION}, Bun ${Bun.version}` },
      cpuCheck(),
      { name: "memory", state: "ok", detail: memory },
      ...libraryChecks(),
      rootCheck(rootOf(undefined, args.root)),
      ...cudaChecks(),
    ];
    if (args.json === true)
      process.stdout.write(`${JSON.stringify({ schema_version: 1, checks })}\n`);
    else {
      process.stdout.write(
        tableText(checks.map(({ state, name, detail }) => [state, name, detail])),
      );
      for (const { name, fix } of checks)
        if (fix !== undefined) process.stdout.write(`fix for ${name}: ${fix}\n`);
    }
    return checks.some(({ state }) => state === "fail") ? 3 : 0;
  },
});
