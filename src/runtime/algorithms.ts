/**
 * @file Which of cuBLASLt's algorithms the products of a GPU got, as a record that can be kept: in the cache of this machine, so
 * that the next start need not search, and in a run's folder, so that it goes on with the same bits. Algorithms are the
 * library's own bytes and mean something only to the same version of it on the same kind of GPU.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isSystemError } from "../util/errors.ts";
import type { Device, GpuInfo } from "./device.ts";
import { cacheFolders } from "./library_cache.ts";
import { NativeError } from "./native_error.ts";

export interface Algorithm {
  /** Sizes, layouts, dtypes, alignments and epilogue. */
  readonly product: string;
  /** cublasLtMatmulAlgo_t in hexadecimal digits. */
  readonly algorithm: string;
  readonly workspace_bytes: number;
  /** When it was chosen; 0: the library's first proposal, not measured. */
  readonly microseconds: number;
}

export interface Algorithms {
  readonly schema_version: 1;
  readonly gpu: string;
  readonly capability: number;
  readonly cuda_version: number;
  readonly cublaslt_version: number;
  readonly algorithms: readonly Algorithm[];
  /** Which kernels attention had; absent: in the cache, which says nothing of them, and in records from before there were two. */
  readonly attention?: GpuInfo["attention"];
}

type Origin = Omit<Algorithms, "algorithms" | "attention">;

const originOf = (gpu: GpuInfo): Origin => ({
  schema_version: 1,
  gpu: gpu.name,
  capability: gpu.capability,
  cuda_version: gpu.cuda_version,
  cublaslt_version: gpu.cublaslt_version,
});

function parseLine(line: string): Algorithm {
  const [algorithm = "", bytes = "", microseconds = "", ...product] = line.split(" ");
  return {
    product: product.join(" "),
    algorithm,
    workspace_bytes: Number(bytes),
    microseconds: Number(microseconds),
  };
}

const lineOf = ({ product, algorithm, workspace_bytes, microseconds }: Algorithm): string =>
  `${algorithm} ${workspace_bytes} ${microseconds} ${product}\n`;

/** Those that programs of this process use, by product; null: the device is no GPU. */
export function algorithmsOf(device: Device): Algorithms | null {
  const { gpu } = device.info;
  if (gpu === null) return null;
  const lines = device.choices.split("\n").filter((line) => line !== "");
  const algorithms = lines.map(parseLine).sort((a, b) => (a.product < b.product ? -1 : 1));
  return { ...originOf(gpu), attention: gpu.attention, algorithms };
}

/** Whether a record was made on such a GPU with such libraries. */
function isOf(gpu: GpuInfo, record: Algorithms): boolean {
  const origin = originOf(gpu);
  return Object.entries(origin).every(([key, value]) => record[key as keyof Origin] === value);
}

/** `own` and, of other products, those of an earlier record from the same GPU and libraries. */
export function withEarlier(own: Algorithms, earlier: Algorithms | null): Algorithms {
  const { algorithms, attention, ...origin } = own;
  const same =
    earlier !== null &&
    Object.entries(origin).every(([key, value]) => earlier[key as keyof Origin] === value);
  const all = new Map((same ? earlier.algorithms : []).map((each) => [each.product, each]));
  for (const each of algorithms) all.set(each.product, each);
  const sorted = [...all.values()].sort((a, b) => (a.product < b.product ? -1 : 1));
  return { ...origin, ...(attention === undefined ? {} : { attention }), algorithms: sorted };
}

/** Gives a device the algorithms of a record; false where they are of another GPU or library, or no record at all. */
export function useAlgorithms(device: Device, record: Algorithms | null): boolean {
  const { gpu } = device.info;
  if (gpu === null || record === null || !isOf(gpu, record)) return false;
  try {
    const attention = record.attention === undefined ? "" : `attention ${record.attention}\n`;
    device.choose(attention + record.algorithms.map(lineOf).join(""));
    return true;
  } catch (error) {
    if (error instanceof NativeError || error instanceof TypeError) return false;
    throw error;
  }
}

/** Null: there is none, or it is damaged; whoever reads does without. */
export function readAlgorithms(path: string): Algorithms | null {
  try {
    const record = JSON.parse(readFileSync(path, "utf8")) as Algorithms;
    return Array.isArray(record?.algorithms) ? record : null;
  } catch (error) {
    if (error instanceof SyntaxError || isSystemError(error)) return null;
    throw error;
  }
}

export const algorithmsText = (record: Algorithms): string =>
  `${JSON.stringify(record, null, 2)}\n`;

/** False: what a process chooses is its own business. */
function isCached(gpu: GpuInfo): boolean {
  // The stand-in of the tests leaves nothing in a user's cache, only where a test says so.
  const configured = (process.env.THESEUS_CACHE ?? "") !== "";
  return process.env.THESEUS_CUDA_TUNE !== "0" && (!gpu.virtual || configured);
}

function fileName(gpu: GpuInfo): string {
  const { gpu: name, capability, cuda_version, cublaslt_version } = originOf(gpu);
  const words = [name.replaceAll(/[^A-Za-z0-9]+/g, "-"), `sm_${capability}`];
  return `cublaslt-${[...words, cuda_version, cublaslt_version].join("-")}.json`;
}

/** What earlier processes chose on such a GPU. */
export function useCachedAlgorithms(device: Device): void {
  const { gpu } = device.info;
  if (gpu === null || !isCached(gpu)) return;
  const paths = cacheFolders().map((folder) => join(folder, fileName(gpu)));
  paths.some((path) => useAlgorithms(device, readAlgorithms(path)));
}

/** Adds what this process has measured to the cache; a cache that cannot be written is none. */
export function cacheAlgorithms(device: Device): void {
  const { gpu } = device.info;
  const own = algorithmsOf(device);
  if (gpu === null || own === null || gpu.searches === 0 || !isCached(gpu)) return;
  const { attention: _, ...rest } = own;
  const measured = own.algorithms.filter(({ microseconds }) => microseconds > 0);
  for (const folder of cacheFolders()) {
    const path = join(folder, fileName(gpu));
    const record = withEarlier({ ...rest, algorithms: measured }, readAlgorithms(path));
    try {
      mkdirSync(folder, { recursive: true });
      const temporary = `${path}.${process.pid}.tmp`;
      writeFileSync(temporary, algorithmsText(record));
      renameSync(temporary, path);
      return;
    } catch (error) {
      if (!isSystemError(error)) throw error;
    }
  }
}
