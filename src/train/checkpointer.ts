/**
 * @file Saves and restores a run's state. A save copies the state at a step boundary and then writes the copy while
 * training goes on; a failure to save never ends training, the next interval tries again.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Dataset } from "../data/dataset.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import { CheckpointError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { VERSION } from "../util/version.ts";
import { commitCheckpoint, stepFolder } from "./checkpoint/commit.ts";
import { faultyFiles } from "./checkpoint/faults.ts";
import { type Files, realFiles, replaceText } from "./checkpoint/files.ts";
import { bytesImage, CopiedImage, type FileImage, LiveImage } from "./checkpoint/image.ts";
import type { Manifest } from "./checkpoint/manifest.ts";
import { pendingRequest, withdrawRequest } from "./checkpoint/request.ts";
import { newestVerified, removeTemporary, type Verified } from "./checkpoint/restore.ts";
import { applyRetention } from "./checkpoint/retention.ts";
import type { Engine } from "./engine.ts";
import { checkpointFields } from "./fields.ts";
import { modelTexts } from "./model_texts.ts";
import type { RunFolder } from "./run_folder.ts";
import { runSaveHooks } from "./save_hooks.ts";
import { loadStates, type SavedState, savedStates, stateLayouts } from "./saved_states.ts";
import type { StepNorm } from "./spikes.ts";

/** Where a run stands: everything besides the tensors. Data position and random numbers are functions of the step. */
export interface RunState {
  readonly step: number;
  readonly tokens: number;
  /** Of the last step. */
  readonly loss: number;
  readonly elapsed_s: number;
  readonly attempt: number;
  readonly best: { readonly step: number; readonly val_loss: number } | null;
  /** Steps that were left out because they were not finite. */
  readonly skipped: number;
  /** What the limit of the gradient's norm is taken from; absent in checkpoints of earlier versions. */
  readonly recent_norms?: readonly StepNorm[];
  /** Of the last step, as a line of metrics.jsonl: it is written there only after this state is saved. */
  readonly metrics: string | null;
}

export interface CheckpointRule {
  readonly keep: number;
  /** Every so many steps one is kept for good; 0: none. */
  readonly permanentEvery: number;
}

export interface CheckpointerParts {
  readonly engine: Engine;
  readonly states: readonly SavedState[];
  readonly directory: string;
  readonly runId: string;
  readonly configHash: string;
  readonly texts: Readonly<Record<string, string>>;
  readonly rule: CheckpointRule;
  /** Saves are written from copies while training goes on; else training waits for them. */
  readonly copies: boolean;
  readonly onEvent: (event: Readonly<Record<string, unknown>>) => void;
  /** After a save, and again when a run goes on from it. */
  readonly afterSave: (step: number, folder: string) => Promise<void>;
}

const filesFor = (): Files => {
  const fault = process.env.THESEUS_FAULT;
  return fault === undefined || fault === "" ? realFiles : faultyFiles(realFiles, fault);
};

export const checkpointRoot = (directory: string): string => join(directory, "checkpoints");

export function checkpointerOf(
  engine: Engine,
  model: LanguageModel,
  run: RunFolder,
  dataset: Dataset,
  base: string | undefined,
): Checkpointer {
  const { directory, runId, resolvedText, config, status } = run;
  return new Checkpointer({
    ...{ engine, directory, runId },
    states: savedStates(model),
    configHash: new Bun.CryptoHasher("sha256").update(resolvedText).digest("hex"),
    texts: { ...modelTexts(model, dataset, base), "config.yaml": resolvedText },
    rule: config.values(checkpointFields),
    copies: config.get(checkpointFields.interval) !== 0,
    onEvent: (event) => status.event(event),
    afterSave: (step, folder) =>
      runSaveHooks(
        config.get(checkpointFields.afterSave),
        { step, folder, runDirectory: directory },
        status,
      ),
  });
}

export class Checkpointer {
  private readonly files = filesFor();
  private readonly parts: CheckpointerParts;
  private readonly root: string;
  private readonly images: Readonly<Record<string, CopiedImage | LiveImage>>;
  private copying: Promise<void> = Promise.resolve();
  private writing: Promise<void> = Promise.resolve();
  private restoredFrom: string | null = null;
  private savedStep = -1;
  private failures = 0;
  private best: RunState["best"] = null;
  /** Who asked from outside for a save. */
  private request: string | null = null;

  constructor(parts: CheckpointerParts) {
    this.parts = parts;
    this.root = checkpointRoot(parts.directory);
    mkdirSync(this.root, { recursive: true });
    const { engine } = parts;
    const images: Record<string, CopiedImage | LiveImage> = {};
    for (const [name, layout] of stateLayouts(parts.states)) {
      const live = {
        ...layout,
        parts: layout.parts.map(({ tensor, offset }) => ({
          tensor: { ...tensor, buffer: engine.state(tensor.state) },
          offset,
        })),
      };
      // Copies are there from the start, so that a run that does not fit ends before its first step.
      images[name] = parts.copies
        ? new CopiedImage(live, engine.device.allocHost(layout.bytes))
        : new LiveImage(live);
    }
    this.images = images;
  }

  /** Waits for the save that is being written and gives the copies' memory back. */
  async close(): Promise<void> {
    await this.writing;
    for (const image of Object.values(this.images)) if (image instanceof CopiedImage) image.free();
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
    await this.parts.afterSave(found.folder.step, found.folder.path);
    return state;
  }

  /** Whether someone outside asks for a save; the next one answers. */
  requested(): boolean {
    this.request = pendingRequest(this.parts.directory);
    return this.request !== null;
  }

  /** Notes a validation; the checkpoint of the best one is spared by retention and named in `best`. */
  noteValidation(step: number, valLoss: number): void {
    if (this.best !== null && this.best.val_loss <= valLoss) return;
    this.best = { step, val_loss: valLoss };
    this.writing = this.writing.then(() => this.guarded(step, {}, () => this.pointToBest()));
  }

  get bestSoFar(): RunState["best"] {
    return this.best;
  }

  /**
   * Starts to copy the state as it is now (nothing may be in flight), and then to write the copy; waits for the save before. The state
   * must not change before `copied`: the next step's forward and backward passes may run meanwhile, not its update.
   */
  async save(state: RunState): Promise<void> {
    await this.writing;
    if (state.step === this.savedStep) return;
    this.copying = this.copyStates();
    this.savedStep = state.step;
    const { request } = this;
    this.request = null;
    if (request !== null) withdrawRequest(this.parts.directory);
    this.writing = this.write(state, request === null ? {} : { request });
    if (!this.parts.copies) await this.writing;
  }

  /** Waits until the state of the last save may change again. */
  copied(): Promise<void> {
    return this.copying;
  }

  /** Waits until the last save is on disk; throws when no save of this attempt ever worked. */
  async finish(): Promise<void> {
    await this.writing;
    if (this.failures > 0 && !existsSync(`${this.root}/latest`))
      throw new CheckpointError(`no checkpoint could be written to ${this.root}`, {
        hint: "the warnings above say why",
      });
  }

  private async copyStates(): Promise<void> {
    // The next step is queued first: the copying goes on beside it.
    await new Promise(setImmediate);
    for (const image of Object.values(this.images))
      if (image instanceof CopiedImage) await image.capture();
  }

  private contents(): Readonly<Record<string, FileImage>> {
    const texts = Object.entries(this.parts.texts).map(([name, text]) => {
      return [name, bytesImage(new TextEncoder().encode(text))] as const;
    });
    return { ...this.images, ...Object.fromEntries(texts) };
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

  private async write(state: RunState, more: { readonly request?: string }): Promise<void> {
    const began = performance.now();
    await this.copying;
    await this.guarded(state.step, more, async () => {
      const name = await commitCheckpoint(this.files, this.root, {
        files: this.contents(),
        manifest: this.manifest(state),
      });
      const seconds = (performance.now() - began) / 1e3;
      this.parts.onEvent({ event: "saved", step: state.step, seconds, ...more });
      await this.parts.afterSave(state.step, join(this.root, name));
      await this.retain(name);
    });
  }

  /** What the system refuses is told, and training goes on. */
  private async guarded(
    step: number,
    more: { readonly request?: string },
    body: () => Promise<void>,
  ): Promise<void> {
    try {
      await body();
    } catch (error) {
      const known = error instanceof CheckpointError || (error instanceof Error && "code" in error);
      if (!known) throw error;
      this.failures++;
      const { message } = error;
      log.warn(`${message}; training goes on`);
      this.parts.onEvent({ event: "save_failed", step, message, ...more });
    }
  }

  private async pointToBest(): Promise<void> {
    const folder = stepFolder(this.best?.step ?? -1);
    if (existsSync(`${this.root}/${folder}`))
      await replaceText(this.files, this.root, "best", `${folder}\n`);
  }

  private async retain(name: string): Promise<void> {
    const protect = new Set([name]);
    if (this.restoredFrom !== null) protect.add(this.restoredFrom);
    if (this.best !== null) protect.add(stepFolder(this.best.step));
    await this.pointToBest();
    const { runId, rule } = this.parts;
    await applyRetention(this.files, this.root, { runId, keep: rule.keep, protect });
  }
}
