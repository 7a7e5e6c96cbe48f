/**
 * @file Saves and restores a run's state. A save copies the state at a step boundary and then writes the copy while
 * training goes on; a failure to save never ends training, the next interval tries again.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { LanguageModel } from "../nn/language_model.ts";
import type { DeviceBuffer } from "../runtime/index.ts";
import { CheckpointError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { sameShape, shapeText } from "../util/shapes.ts";
import { VERSION } from "../util/version.ts";
import { commitCheckpoint, type TensorSource } from "./checkpoint/commit.ts";
import { faultyFiles } from "./checkpoint/faults.ts";
import { type Files, realFiles, replaceText } from "./checkpoint/files.ts";
import type { Manifest } from "./checkpoint/manifest.ts";
import { newestVerified, removeTemporary, type Verified } from "./checkpoint/restore.ts";
import { applyRetention } from "./checkpoint/retention.ts";
import { readSafetensors } from "./checkpoint/safetensors.ts";
import type { Engine } from "./engine.ts";
import { checkpointFields } from "./fields.ts";
import type { RunFolder } from "./run_folder.ts";

/** Where a run stands: everything besides the tensors. Data position and random numbers are functions of the step. */
export interface RunState {
  readonly step: number;
  readonly tokens: number;
  /** Of the last step. */
  readonly loss: number;
  readonly elapsed_s: number;
  readonly attempt: number;
  readonly best: { readonly step: number; readonly val_loss: number } | null;
}

export interface CheckpointRule {
  /** Steps between saves; 0: only at the end. */
  readonly interval: number;
  readonly keep: number;
  /** Every so many steps one is kept for good; 0: none. */
  readonly permanentEvery: number;
}

/** A state of the engine that belongs into a checkpoint: its buffer's name, and its name and shape in the file. */
export interface SavedState {
  readonly file: "model" | "optimizer";
  readonly state: string;
  readonly name: string;
  readonly shape: readonly number[];
}

export interface CheckpointerParts {
  readonly engine: Engine;
  readonly states: readonly SavedState[];
  readonly directory: string;
  readonly runId: string;
  readonly configHash: string;
  readonly texts: Readonly<Record<string, string>>;
  readonly rule: CheckpointRule;
  readonly onEvent: (event: Readonly<Record<string, unknown>>) => void;
}

const filesFor = (): Files => {
  const fault = process.env.THESEUS_FAULT;
  return fault === undefined || fault === "" ? realFiles : faultyFiles(realFiles, fault);
};

export const checkpointRoot = (directory: string): string => join(directory, "checkpoints");

/** Puts the tensors of a verified checkpoint into the engine's states. */
export function loadStates(engine: Engine, states: readonly SavedState[], folder: string): void {
  for (const file of new Set(states.map((state) => state.file))) {
    const path = `${folder}/${file}.safetensors`;
    const tensors = new Map(readSafetensors(path).tensors.map((t) => [t.name, t]));
    const wanted = states.filter((state) => state.file === file);
    const names = new Set(wanted.map((state) => state.name));
    const extra = [...tensors.keys()].filter((name) => !names.has(name));
    if (extra.length > 0)
      throw new CheckpointError(`holds ${extra.join(", ")}, which this run does not have`, {
        place: { path },
      });
    for (const { name, shape, state } of wanted) {
      const tensor = tensors.get(name);
      if (tensor === undefined || tensor.dtype !== "F32" || !sameShape(tensor.shape, shape))
        throw new CheckpointError(
          `${name}: expected F32 ${shapeText(shape)}, found ` +
            (tensor === undefined ? "nothing" : `${tensor.dtype} ${shapeText(tensor.shape)}`),
          { place: { path } },
        );
      engine.state(state).loadFrom(path, tensor.offset, 0, tensor.bytes);
    }
  }
}

/** The states of a language model's training that a checkpoint holds. */
function savedStates(model: LanguageModel): SavedState[] {
  return model.parameters().flatMap(({ path, axes }): SavedState[] => {
    const shape = axes.map(({ size }) => size);
    const moment = (kind: string): SavedState => ({
      ...{ file: "optimizer", state: `${kind}/${path}`, name: `${kind}/${path}`, shape },
    });
    const weight: SavedState = { file: "model", state: `param/${path}`, name: path, shape };
    return [weight, moment("adam_m"), moment("adam_v")];
  });
}

export function checkpointerOf(engine: Engine, model: LanguageModel, run: RunFolder): Checkpointer {
  const { directory, runId, resolvedText, config, status } = run;
  return new Checkpointer({
    ...{ engine, directory, runId },
    states: savedStates(model),
    configHash: new Bun.CryptoHasher("sha256").update(resolvedText).digest("hex"),
    texts: { "config.yaml": resolvedText },
    rule: config.values(checkpointFields),
    onEvent: (event) => status.event(event),
  });
}

export class Checkpointer {
  private readonly files = filesFor();
  private readonly parts: CheckpointerParts;
  private readonly root: string;
  private readonly copies = new Map<string, DeviceBuffer>();
  private writing: Promise<void> = Promise.resolve();
  private restoredFrom: string | null = null;
  private savedStep = -1;
  private failures = 0;
  private best: RunState["best"] = null;

  constructor(parts: CheckpointerParts) {
    this.parts = parts;
    this.root = checkpointRoot(parts.directory);
    mkdirSync(this.root, { recursive: true });
  }

  /** Loads the newest checkpoint that verifies into the engine; null when the run has none yet. */
  async restore(): Promise<RunState | null> {
    await removeTemporary(this.files, this.root);
    const problems: string[] = [];
    const found: Verified | null = await newestVerified(
      this.files,
      this.root,
      this.parts.runId,
      (message) => {
        log.warn(message);
        problems.push(message);
      },
    );
    if (found === null) return null;
    loadStates(this.parts.engine, this.parts.states, found.folder.path);
    this.restoredFrom = found.folder.name;
    this.savedStep = found.folder.step;
    const state = found.manifest.state as unknown as RunState;
    this.best = state.best;
    this.parts.onEvent({ event: "resumed", step: found.folder.step, problems });
    return state;
  }

  dueAfter(step: number): boolean {
    const { interval } = this.parts.rule;
    return interval > 0 && step % interval === 0 && step !== this.savedStep;
  }

  /** Notes a validation; the checkpoint of the best one is spared by retention and named in `best`. */
  noteValidation(step: number, valLoss: number): void {
    if (this.best !== null && this.best.val_loss <= valLoss) return;
    this.best = { step, val_loss: valLoss };
  }

  get bestSoFar(): RunState["best"] {
    return this.best;
  }

  /** Copies the state (nothing may be in flight) and starts to write it; waits for the save before. */
  async save(state: RunState): Promise<void> {
    await this.writing;
    if (state.step === this.savedStep) return;
    this.copyStates();
    this.savedStep = state.step;
    this.writing = this.write(state);
  }

  /** Waits until the last save is on disk; throws when no save of this attempt ever worked. */
  async finish(): Promise<void> {
    await this.writing;
    if (this.failures > 0 && !existsSync(`${this.root}/latest`))
      throw new CheckpointError(`no checkpoint could be written to ${this.root}`, {
        hint: "the warnings above say why",
      });
  }

  /** Waits for a save that is being written, without judging it. */
  async settle(): Promise<void> {
    await this.writing;
  }

  private copyStates(): void {
    const { engine, states } = this.parts;
    for (const { state } of states) {
      const source = engine.state(state);
      const copy = this.copies.get(state) ?? engine.device.alloc(source.bytes);
      this.copies.set(state, copy);
      copy.copyFrom(source, 0, 0, source.bytes);
    }
  }

  private sources(file: SavedState["file"]): TensorSource[] {
    return this.parts.states
      .filter((each) => each.file === file)
      .map(({ state, name, shape }) => {
        const copy = this.copies.get(state);
        if (copy === undefined) throw new Error(`internal: no copy of ${state}`);
        return {
          name,
          dtype: "F32" as const,
          shape,
          bytes: copy.bytes,
          read: (offset: number, target: Uint8Array) => copy.read(target, offset),
        };
      });
  }

  private manifest(state: RunState): Omit<Manifest, "format_version" | "files"> {
    const { permanentEvery } = this.parts.rule;
    return {
      program_version: VERSION,
      step: state.step,
      tokens: state.tokens,
      run_id: this.parts.runId,
      permanent: permanentEvery > 0 && state.step % permanentEvery === 0,
      state: { ...state },
      config_hash: this.parts.configHash,
      parent: this.restoredFrom === null ? null : Number(this.restoredFrom.slice("step-".length)),
    };
  }

  private async write(state: RunState): Promise<void> {
    const began = performance.now();
    try {
      const name = await commitCheckpoint(this.files, this.root, {
        tensors: { model: this.sources("model"), optimizer: this.sources("optimizer") },
        texts: this.parts.texts,
        manifest: this.manifest(state),
      });
      const seconds = (performance.now() - began) / 1e3;
      this.parts.onEvent({ event: "saved", step: state.step, seconds });
      await this.retain(name);
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      this.failures++;
      log.warn(`${error.message}; training goes on`);
      this.parts.onEvent({ event: "save_failed", step: state.step, message: error.message });
    }
  }

  private async retain(name: string): Promise<void> {
    const protect = new Set([name]);
    if (this.restoredFrom !== null) protect.add(this.restoredFrom);
    if (this.best !== null) {
      const folder = `step-${String(this.best.step).padStart(6, "0")}`;
      protect.add(folder);
      if (existsSync(`${this.root}/${folder}`))
        await replaceText(this.files, this.root, "best", `${folder}\n`);
    }
    const { runId, rule } = this.parts;
    await applyRetention(this.files, this.root, { runId, keep: rule.keep, protect });
  }
}
