/** @file What a run tells its caller while it goes on; the command line draws it, the Quick API returns it. */
import type { StepMetrics } from "./metrics.ts";

export interface RunStarted {
  readonly kind: "started";
  readonly directory: string;
  readonly parameters: number;
  readonly steps: number;
  readonly tokensPerStep: number;
  readonly dataset: string;
  readonly trainTokens: number;
  readonly memoryBytes: number;
  /** Level of the CPU, or the GPU by its name. */
  readonly device: string;
  /** Null on a GPU. */
  readonly threads: number | null;
  readonly precision: string;
  /** Step of the checkpoint that the run goes on from. */
  readonly resumedFrom: number | null;
}

export interface StepDone {
  readonly kind: "step";
  readonly metrics: StepMetrics;
  readonly steps: number;
  readonly etaSeconds: number;
}

export interface SampleDone {
  readonly kind: "sample";
  readonly step: number;
  readonly prompt: string;
  /** Without the prompt. */
  readonly text: string;
}

export interface RunFinished {
  readonly kind: "finished";
  readonly directory: string;
  readonly reason: "finished" | "interrupted";
  /** Steps done. */
  readonly step: number;
  readonly loss: number;
  readonly valLoss: number | null;
  readonly valBitsPerByte: number | null;
  readonly elapsedSeconds: number;
}

export type Progress = RunStarted | StepDone | SampleDone | RunFinished;
