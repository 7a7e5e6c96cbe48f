/** @file Which device a trained model is used on, when it is not being trained. */
import type { Config } from "../config/config.ts";
import { chooseDevice, type Device } from "../runtime/index.ts";
import { trainingFields } from "../train/fields.ts";

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
  });
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
