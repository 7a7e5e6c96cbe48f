/** @file Which device a trained model is used on, when it is not being trained. */
import type { Config } from "../config/config.ts";
import { chooseDevice, type Device, NativeError } from "../runtime/index.ts";
import { trainingFields } from "../train/fields.ts";
import { DeviceError } from "../util/errors.ts";
import { log } from "../util/log.ts";

export interface DeviceWish {
  /** Threads of a CPU; absent: as many as the run itself. */
  readonly threads?: number;
  /** `auto`, `cpu`, `cuda` or `cuda:N`; absent: the CPU where the run was told to use it, else `auto`. */
  readonly device?: string;
}

/** A run's own `cuda:3` may not be there where its weights are used: only `cpu` is taken from it. */
export function openModelDevice(config: Config, wish: DeviceWish): Device {
  const own = config.get(trainingFields.device) === "cpu" ? "cpu" : "auto";
  return chooseDevice({
    device: wish.device ?? own,
    threads: wish.threads ?? config.get(trainingFields.threads),
    cudaLibraries: config.get(trainingFields.cudaLibraries),
  });
}

/**
 * What `use` makes on the device, which is closed when it fails. Where a GPU has no room, `auto` goes on with the CPU, and
 * whoever asked for the GPU hears what to do.
 */
export function madeOnModelDevice<T>(
  config: Config,
  wish: DeviceWish,
  use: (device: Device) => T,
): T {
  const device = openModelDevice(config, wish);
  try {
    return use(device);
  } catch (error) {
    const { gpu } = device.info;
    device.close();
    const full = error instanceof NativeError && error.status === "out_of_memory";
    if (gpu === null || !full) throw error;
    if ((wish.device ?? "auto") !== "auto")
      throw new DeviceError(error.message, {
        hint: "a smaller batch or context needs less; --device cpu; nvidia-smi lists who holds the rest",
      });
    log.warn(`using the CPU: ${error.message}`);
    return madeOnModelDevice(config, { ...wish, device: "cpu" }, use);
  }
}

export async function withModelDevice<T>(
  config: Config,
  wish: DeviceWish,
  use: (device: Device) => Promise<T>,
): Promise<T> {
  const device = openModelDevice(config, wish);
  try {
    return await use(device);
  } finally {
    device.close();
  }
}
