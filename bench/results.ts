/** @file Where figures come from, and the file that keeps those of real machines. */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "../src/runtime/index.ts";

export const RESULTS = join(import.meta.dir, "results.jsonl");

/** Version of the NVIDIA kernel driver, where there is one. */
function driverVersion(): string | null {
  const path = "/proc/driver/nvidia/version";
  if (!existsSync(path)) return null;
  return /\b(\d{3}\.\d+(\.\d+)?)\b/.exec(readFileSync(path, "utf8"))?.[1] ?? null;
}

/** Device, driver and date of a figure. */
export function originOf({ info: { gpu, cpu } }: Device) {
  return {
    date: new Date().toISOString().slice(0, 10),
    device: gpu?.name ?? cpu,
    virtual: gpu?.virtual ?? false,
    driver: gpu === null ? null : driverVersion(),
    cuda: gpu?.cuda_version ?? null,
    attention: gpu?.attention ?? null,
  };
}

/** Appends figures with the command that made them; those of a virtual GPU stand for nothing and are not kept. */
export function keepFigures(figures: { readonly virtual: boolean }): void {
  if (figures.virtual) {
    console.error("virtual GPU: these figures say nothing about speed and are not kept");
    return;
  }
  const command = ["bun", ...process.argv.slice(1)].join(" ").replaceAll(`${process.cwd()}/`, "");
  appendFileSync(RESULTS, `${JSON.stringify({ command, ...figures })}\n`);
}
