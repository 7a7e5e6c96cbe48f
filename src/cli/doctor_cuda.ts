/** @file What doctor says about NVIDIA GPUs: the driver and its GPUs, the kernels in the library, and what is opened beside it. */
import { existsSync, readFileSync } from "node:fs";
import {
  foundCudaLibrary,
  type GpuInfo,
  libraryInfo,
  NativeError,
  openGpu,
} from "../runtime/index.ts";
import { assert } from "../util/errors.ts";
import type { Check } from "./doctor.ts";
import { bytesText } from "./format.ts";

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

function gpuCheck(): Check {
  const name = "cuda";
  try {
    const device = openGpu(0);
    const { gpu, memory_bytes: free } = device.info;
    device.close();
    assert(gpu !== null, "a GPU says which one it is");
    const detail = gpuText(gpu, free);
    if (free >= FREE_SHARE * gpu.total_bytes) return { name, state: "ok", detail };
    const fix =
      "other processes hold its memory (nvidia-smi lists them); training.device=cuda:N takes another GPU";
    return { name, state: "warn", detail, fix };
  } catch (error) {
    if (!(error instanceof NativeError)) throw error;
    // A machine without a GPU lacks nothing.
    if (error.status === "io_failed")
      return { name, state: "warn", detail: "no NVIDIA driver (libcuda.so.1) was found" };
    const fix = "device cpu leaves the GPU alone";
    return { name, state: "warn", detail: error.message, fix };
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

/** Opened only by runs on several GPUs. */
function ncclCheck(): Check {
  const path = foundCudaLibrary("libnccl.so.2");
  const detail = path ?? "libnccl.so.2 was not found; only runs on several GPUs would need it";
  return { name: "nccl", state: "ok", detail };
}

export const cudaChecks = (): Check[] => [gpuCheck(), kernelsCheck(), ncclCheck()];
