/** @file What a host offers right now, asked in one call: its folders, its devices, its scheduler. */
import { RemoteError } from "../util/errors.ts";
import type { HostEntry } from "./dispatch_file.ts";
import { expectRun, type Host, mark, sections } from "./host.ts";
import { LOCKS } from "./plain_script.ts";
import { quotePath } from "./quote.ts";

export interface Gpu {
  readonly index: number;
  readonly name: string;
  readonly memoryMiB: number;
  readonly free: boolean;
}

export interface SlurmNode {
  readonly partition: string;
  readonly isDefault: boolean;
  readonly node: string;
  readonly state: string;
  /** By type; a GPU without a type has the type "". */
  readonly gpus: ReadonlyMap<string, number>;
  readonly gpusUsed: ReadonlyMap<string, number>;
  readonly cpus: number;
  readonly cpusIdle: number;
  readonly memoryMiB: number;
  readonly memoryFreeMiB: number;
}

export interface Probe {
  readonly home: string;
  readonly hostname: string;
  readonly user: string;
  /** Folders that cannot be written to or made. */
  readonly unwritable: readonly string[];
  readonly gpus: readonly Gpu[];
  readonly cpus: number;
  readonly memoryMiB: number;
  /** Null: no SLURM here. */
  readonly nodes: readonly SlurmNode[] | null;
  /** Why SLURM did not answer. */
  readonly slurmError: string | null;
}

const FOLDERS = ({ cluster }: HostEntry): string[] => [
  cluster.root,
  cluster.work,
  ...(cluster.log === null ? [] : [cluster.log]),
];

const NVIDIA = `
if command -v nvidia-smi >/dev/null 2>&1; then
  ${mark("gpus")}
  nvidia-smi --query-gpu=index,uuid,name,memory.total --format=csv,noheader,nounits 2>/dev/null
  ${mark("apps")}
  nvidia-smi --query-compute-apps=gpu_uuid --format=csv,noheader 2>/dev/null
  ${mark("locked")}
  for file in ${LOCKS}/gpu-*; do
    [ -e "$file" ] && ! flock -n "$file" true && echo "\${file##*-}"
  done
fi`;

/** Fixed columns, as wide as names get. */
const COLUMNS: readonly (readonly [string, number])[] = [
  ["PartitionName", 64],
  ["NodeHost", 64],
  ["Gres", 128],
  ["GresUsed", 128],
  ["StateCompact", 24],
  ["CPUsState", 40],
  ["Memory", 24],
  ["AllocMem", 24],
];

const SLURM = `
if command -v sbatch >/dev/null 2>&1; then
  nodes=$(sinfo -h -N -a -O '${COLUMNS.map(([name, width]) => `${name}:${width}`).join(",")}' 2>&1)
  code=$?
  ${mark("nodes")}
  echo "$nodes"
  ${mark("sinfo")}
  echo "$code"
  ${mark("default")}
  sinfo -h -o '%P' 2>/dev/null | sed -n 's/[*]$//p'
fi`;

export function probeScript(entry: HostEntry): string {
  const folders = FOLDERS(entry).map(
    (path) =>
      `d=${quotePath(path)}; while [ ! -e "$d" ]; do d=$(dirname "$d"); done; { [ -d "$d" ] && [ -w "$d" ]; } || echo ${quotePath(path)}`,
  );
  return [
    ...[mark("id"), 'echo "$HOME"', "hostname", "id -un"],
    ...[mark("machine"), "nproc", "sed -n 's/^MemTotal: *\\([0-9]*\\).*/\\1/p' /proc/meminfo"],
    ...[mark("folders"), ...folders],
    entry.type === "slurm" ? SLURM : NVIDIA,
    ":",
  ].join("\n");
}

/** `gpu:h100:2(S:0-1),gpu:1` */
export function parseGres(text: string): Map<string, number> {
  const out = new Map<string, number>();
  for (const part of text.replaceAll(/\([^)]*\)/g, "").split(",")) {
    const fields = part.split(":");
    if (fields[0] !== "gpu") continue;
    const count = Number(fields.at(-1));
    if (!Number.isInteger(count)) continue;
    const type = fields.length > 2 ? fields.slice(1, -1).join(":") : "";
    out.set(type, (out.get(type) ?? 0) + count);
  }
  return out;
}

function parseNode(line: string, defaults: ReadonlySet<string>): SlurmNode | null {
  const cells: string[] = [];
  let at = 0;
  for (const [, width] of COLUMNS) {
    cells.push(line.slice(at, at + width).trim());
    at += width;
  }
  const [partition = "", node = "", gres = "", used = "", state = "", cpus = "", memory, alloc] =
    cells;
  if (node === "") return null;
  const [, idle = "0", , total = "0"] = cpus.split("/");
  return {
    ...{ partition, isDefault: defaults.has(partition), node, state },
    ...{ gpus: parseGres(gres), gpusUsed: parseGres(used) },
    ...{ cpus: Number(total), cpusIdle: Number(idle) },
    memoryMiB: Number(memory),
    memoryFreeMiB: Number(memory) - Number(alloc),
  };
}

function parseGpus(parts: ReadonlyMap<string, string>): Gpu[] {
  const busy = new Set(parts.get("apps")?.split("\n"));
  const locked = new Set(parts.get("locked")?.split("\n"));
  return (parts.get("gpus") ?? "")
    .split("\n")
    .map((line) => line.split(",").map((cell) => cell.trim()))
    .filter((cells) => cells.length >= 4)
    .map(([index = "", uuid = "", name = "", memory]) => ({
      ...{ index: Number(index), name, memoryMiB: Number(memory) },
      free: !busy.has(uuid) && !locked.has(index),
    }));
}

export function parseProbe(text: string): Probe {
  const parts = sections(text);
  const [home, hostname, user] = (parts.get("id") ?? "").split("\n");
  if (home === undefined || hostname === undefined || user === undefined)
    throw new RemoteError("a host answered something else than was asked");
  const [cpus, memoryKiB] = (parts.get("machine") ?? "").split("\n");
  const lines = parts.get("nodes");
  const failed = lines !== undefined && parts.get("sinfo")?.trim() !== "0";
  const defaults = new Set(parts.get("default")?.split("\n"));
  const rows = lines === undefined || failed ? [] : lines.split("\n");
  return {
    ...{ home, hostname, user },
    unwritable: (parts.get("folders") ?? "").split("\n").filter((path) => path !== ""),
    gpus: parseGpus(parts),
    cpus: Number(cpus),
    memoryMiB: Math.floor(Number(memoryKiB) / 1024),
    nodes: lines === undefined ? null : rows.flatMap((line) => parseNode(line, defaults) ?? []),
    slurmError: failed ? (lines?.trim().split("\n").at(-1) ?? "") : null,
  };
}

export async function probeHost(host: Host): Promise<Probe> {
  const { stdout } = await expectRun(host, probeScript(host.entry), "look around");
  return parseProbe(stdout);
}

/** Home folders are the host's own. */
export const absolute = (path: string, { home }: Pick<Probe, "home">): string =>
  path.startsWith("~/") ? `${home}/${path.slice(2)}` : path;
