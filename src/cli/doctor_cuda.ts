/** @file What doctor says about NVIDIA GPUs: the driver and its GPUs, the kernels in the library, and what is opened beside it. */
import { existsSync, readFileSync } from "node:fs";
import {
  cublasLtVersion,
  foundCudaLibrary,
  type GpuInfo,
  libraryInfo,
  NativeError,
  ncclVersion,
  openGpu,
  versionText,
} from "../runtime/index.ts";
import { assert } from "../util/errors.ts";
import { bytesText } from "../util/quantities.ts";
import type { Check } from "./doctor.ts";

/** Of the kernel module; the library itself knows only which CUDA the driver serves. */
function driverVersion(): string | null {
  const path = "/proc/driver/nvidia/version";
  if (!existsSync(path)) return null;
  return /\b\d{3}\.\d+(\.\d+)?\b/.exec(readFileSync(path, "utf8"))?.[0] ?? null;
}

function gpuText(gpu: GpuInfo, freeBytes: number): string {
  const { ordinal, count, name, capability, cuda_version: cuda, total_bytes: total } = gpu;
  const which = count > 1 ? `GPU ${ordinal} of ${count}` : `GPU ${ordinal}`;
  const driver = driverVersion();
  return [
    // A virtual GPU is called by its name: it stands for none.
    `${which}: ${name}`,
    `compute capability ${(capability / 10).toFixed(1)}`,
    `${driver === null ? "" : `driver ${driver}, `}CUDA ${Math.floor(cuda / 1000)}.${(cuda % 1000) / 10}`,
    `${bytesText(freeBytes)} of ${bytesText(total)} free`,
  ].join(", ");
}

/** What a first run needs beside its kernels; below it others are at work there. */
const FREE_SHARE = 0.5;

interface Opened {
  readonly check: Check;
  /** Null: it does not open. */
  readonly gpu: GpuInfo | null;
}

function gpuCheck(): Opened {
  const name = "cuda";
  try {
    const device = openGpu(0);
    const { gpu, memory_bytes: free } = device.info;
    device.close();
    assert(gpu !== null, "a GPU says which one it is");
    const detail = gpuText(gpu, free);
    if (free >= FREE_SHARE * gpu.total_bytes) return { check: { name, state: "ok", detail }, gpu };
    const fix =
      "other processes hold its memory (nvidia-smi lists them); training.device=cuda:N takes another GPU";
    return { check: { name, state: "warn", detail, fix }, gpu };
  } catch (error) {
    if (!(error instanceof NativeError)) throw error;
    // A machine without a GPU lacks nothing.
    const none = "no NVIDIA driver (libcuda.so.1) was found";
    if (error.status === "io_failed")
      return { check: { name, state: "warn", detail: none }, gpu: null };
    const fix = "device cpu leaves the GPU alone";
    return { check: { name, state: "warn", detail: error.message, fix }, gpu: null };
  }
}

function kernelsCheck(): Check {
  const { cuda } = libraryInfo();
  const name = "cuda kernels";
  if (cuda.length > 0)
    return { name, state: "ok", detail: `${cuda.join(", ")}; driver 580 (CUDA 13.0) or newer` };
  const detail = "this library was built without kernels for NVIDIA GPUs";
  return { name, state: "ok", detail };
}

const foundText = (path: string, version: string | null): string =>
  `${path}, ${version === null ? "which does not open" : `version ${version}`}`;

/** Multiplies matrices; a machine without a GPU does without. */
function cublasLtCheck(gpu: GpuInfo | null): Check {
  const name = "cublaslt";
  if (gpu !== null) {
    const { cublaslt: path, cublaslt_version: version } = gpu;
    return { name, state: "ok", detail: foundText(path, versionText(version)) };
  }
  const path = foundCudaLibrary("libcublasLt.so.13");
  const detail =
    path === null
      ? "libcublasLt.so.13 was not found; a GPU needs it"
      : foundText(path, cublasLtVersion(path));
  return { name, state: "ok", detail };
}

/** Opened only by runs on several GPUs. */
function ncclCheck(): Check {
  const path = foundCudaLibrary("libnccl.so.2");
  const detail =
    path === null
      ? "libnccl.so.2 was not found; only runs on several GPUs would need it"
      : foundText(path, ncclVersion(path));
  return { name: "nccl", state: "ok", detail };
}

export function cudaChecks(): Check[] {
  const { check, gpu } = gpuCheck();
  return [check, kernelsCheck(), cublasLtCheck(gpu), ncclCheck()];
}
