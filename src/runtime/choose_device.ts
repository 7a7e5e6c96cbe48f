/** @file Which device a run gets: `auto`, `cpu`, `cuda` or `cuda:1`. */
import { assert, DeviceError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { type Device, openDevice, openGpu } from "./device.ts";
import { DEVICE_FORM } from "./device_form.ts";
import { NativeError } from "./native_error.ts";

export interface DeviceChoice {
  /** Of DEVICE_FORM. */
  readonly device: string;
  /** Of a CPU device; null: one a core. */
  readonly threads: number | null;
  /** Folders of CUDA's libraries, before all others. */
  readonly cudaLibraries?: readonly string[];
}

const openCpu = (threads: number | null): Device => openDevice(threads === null ? {} : { threads });

const HINT = "device cpu takes the CPU; theseus doctor says what was found";

const FULL_HINT =
  "other processes hold its memory (nvidia-smi lists them): end them, or name another GPU with " +
  "cuda:N or CUDA_VISIBLE_DEVICES";

function openNamed(name: string, libraries: readonly string[]): Device {
  try {
    return openGpu(Number(name.split(":")[1] ?? 0), { libraries });
  } catch (error) {
    if (!(error instanceof NativeError)) throw error;
    const hint = error.status === "out_of_memory" ? FULL_HINT : HINT;
    throw new DeviceError(error.message, { hint });
  }
}

/** Once a process: whoever samples between steps opens a device each time. */
let said = false;

/** The first GPU when it is fit; where there is a driver but no use of it, a line says why. */
function openAuto(threads: number | null, libraries: readonly string[]): Device {
  try {
    const device = openGpu(0, { libraries });
    if (!said) log.info(`device: GPU 0, ${device.info.gpu?.name}`);
    said = true;
    return device;
  } catch (error) {
    if (!(error instanceof NativeError)) throw error;
    // No driver at all: the machine has no GPU, and nobody asked for one.
    if (error.status !== "io_failed") log.warn(`using the CPU: ${error.message}`);
    return openCpu(threads);
  }
}

export function chooseDevice({ device, threads, cudaLibraries = [] }: DeviceChoice): Device {
  assert(DEVICE_FORM.test(device), `a device, got ${device}`);
  if (device === "cpu") return openCpu(threads);
  return device === "auto" ? openAuto(threads, cudaLibraries) : openNamed(device, cudaLibraries);
}
