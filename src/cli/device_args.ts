/** @file The option of commands that use a trained model: on which device. */
import { DEVICE_FORM } from "../runtime/device_form.ts";
import { UsageError } from "./command.ts";

export const deviceArgs = {
  device: {
    type: "string",
    default: "run",
    description:
      "auto (a fit GPU, else the CPU), cpu, cuda or cuda:N; run: cpu where it was trained so, else auto",
  },
} as const;

export function deviceOf(text: string): { readonly device?: string } {
  if (text === "run") return {};
  if (DEVICE_FORM.test(text)) return { device: text };
  throw new UsageError(`--device expected run, auto, cpu, cuda or cuda:N, got "${text}"`);
}
