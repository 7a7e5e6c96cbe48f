/** @file The device of a training run, and its engine: where memory is short, who says so and what is done about it. */
import type { Config } from "../config/config.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import { chooseDevice, type Device, NativeError } from "../runtime/index.ts";
import { DeviceError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { Engine } from "./engine.ts";
import { trainingFields } from "./fields.ts";
import { type Machine, machineOf } from "./machine.ts";
import { doesNotFit, expectFits } from "./memory_report.ts";
import { type Prepared, prepare } from "./plan.ts";

/** Below this share of free memory somebody else is at work on a GPU: its context alone takes a few hundred MiB. */
const SHARE_FREE = 0.8;

function whyNot(model: LanguageModel, config: Config, machine: Machine): string | null {
  try {
    expectFits(prepare(model, config, machine).memory, machine);
    return null;
  } catch (error) {
    if (error instanceof DeviceError) return error.message.split(";")[0] ?? "";
    throw error;
  }
}

/** As `training.device` says; `auto` takes the CPU where others leave too little of the GPU. */
export function openRunDevice(model: LanguageModel, config: Config): Device {
  const choice = config.values(trainingFields);
  const device = chooseDevice(choice);
  try {
    const machine = machineOf(device);
    const { gpu, freeBytes } = machine;
    if (choice.device !== "auto" || gpu === null || freeBytes > SHARE_FREE * gpu.total_bytes)
      return device;
    const why = whyNot(model, config, machine);
    if (why === null) return device;
    log.warn(`using the CPU: ${why}`);
  } catch (error) {
    device.close();
    throw error;
  }
  device.close();
  return chooseDevice({ ...choice, device: "cpu" });
}

/** All memory of a run, before its first step. */
export function openEngine(device: Device, { programs, memory }: Prepared): Engine {
  const machine = machineOf(device);
  expectFits(memory, machine);
  try {
    return new Engine(device, programs);
  } catch (error) {
    if (!(error instanceof NativeError) || error.status !== "out_of_memory") throw error;
    throw doesNotFit(memory, machine, error.message);
  }
}
