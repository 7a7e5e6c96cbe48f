/**
 * @file Copies what a host lacks and may be copied: theseus itself, and CUDA's libraries where they are here. Jobs find the libraries
 * in `WORK/lib`, where each name is a link to a file that is named by its content.
 */
import { existsSync, realpathSync } from "node:fs";
import { basename, join } from "node:path";
import { expectRun, type Host } from "./host.ts";
import { absolute, type Probe, probeHost } from "./probe.ts";
import { quote } from "./quote.ts";
import findLibrary from "./sh/libraries.sh" with { type: "text" };
import { type Progress, rememberedHash, upload } from "./upload.ts";

export interface Settled {
  readonly what: string;
  /** here: it was there before; missing: neither there nor on this machine. */
  readonly state: "copied" | "here" | "missing";
  /** Where it is there; empty: nowhere. */
  readonly target: string;
  /** That were sent. */
  readonly bytes: number;
}

/** As programs ask for them, with the Python package that brings each. */
export const CUDA_LIBRARIES: Readonly<Record<string, string>> = {
  "libcublasLt.so.13": "nvidia-cublas",
  "libnccl.so.2": "nvidia-nccl-cu13",
};

/** In the first of these folders that has it, else where the linker of this machine finds it. */
function localLibrary(name: string, folders: readonly string[]): string | undefined {
  for (const folder of folders) {
    const path = join(folder, name);
    if (folder !== "" && existsSync(path)) return realpathSync(path);
  }
  const listed = Bun.spawnSync(["/sbin/ldconfig", "-p"], { stderr: "ignore" }).stdout.toString();
  const line = listed.split("\n").find((text) => text.trim().startsWith(`${name} `));
  const path = / => (\S+)$/.exec(line ?? "")?.[1];
  return path === undefined ? undefined : realpathSync(path);
}

/** Login nodes have none themselves. */
const hasDevices = ({ entry }: Host, { gpus }: Probe): boolean =>
  entry.type === "slurm" || entry.chips.size > 0 || gpus.length > 0;

export async function setupHost(
  host: Host,
  binary: string,
  folders: readonly string[],
  progress: (what: string) => Progress,
): Promise<Settled[]> {
  const probe = await probeHost(host);
  const work = absolute(host.entry.cluster.work, probe);
  const send = async (what: string, local: string, target: string, executable: boolean) => {
    const blob = { local, hash: await rememberedHash(local), target, executable, what };
    const bytes = await upload(host, blob, progress(what));
    return { what, target, bytes, state: bytes === 0 ? "here" : "copied" } as const;
  };
  const hash = await rememberedHash(binary);
  const out: Settled[] = [
    await send("theseus", binary, `${work}/bin/theseus-${hash.slice(0, 16)}`, true),
  ];
  if (!hasDevices(host, probe)) return out;
  const names = Object.keys(CUDA_LIBRARIES);
  const script = [
    `work=${quote(work)}`,
    findLibrary,
    ...names.map((name) => `find_library ${name}`),
  ];
  const { stdout } = await expectRun(host, script.join("\n"), "look for libraries");
  const found = stdout.split("\n");
  for (const [i, what] of names.entries()) {
    const there = found[i] ?? "";
    const local = localLibrary(what, folders);
    // What the host has of its own is left to it; what was brought may be older than what is here.
    if ((there !== "" && !there.startsWith(`${work}/`)) || local === undefined) {
      out.push({ what, state: there === "" ? "missing" : "here", target: there, bytes: 0 });
      continue;
    }
    const content = await rememberedHash(local);
    const target = `${work}/lib/by-content/${content.slice(0, 16)}-${basename(local)}`;
    out.push(await send(what, local, target, false));
    const link = `ln -sfn ${quote(target)} ${quote(`${work}/lib/${what}`)}`;
    await expectRun(host, link, "link the library");
  }
  return out;
}
