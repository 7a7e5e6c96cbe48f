/** @file Log-probabilities of tokens after given tokens, for many texts at a time. */
import type { LanguageModel } from "../nn/language_model.ts";
import type { Precision } from "../nn/trace.ts";
import type { Device } from "../runtime/index.ts";
import { Engine } from "../train/engine.ts";
import { compileIn } from "../train/precision.ts";
import type { BatchShape } from "../train/programs.ts";
import { targetOf } from "../train/target.ts";
import { assert, UserError } from "../util/errors.ts";
import { type Placed, packTexts, type ScoredText } from "./packing.ts";
import { buildHidden, buildTokenScores } from "./programs.ts";

export interface TextScore {
  /** Natural logarithms of the judged tokens' probabilities, in their order. */
  readonly logprobs: Float32Array;
  /** Whether every judged token is the likeliest at its place. */
  readonly greedy: boolean;
}

export interface ScorerOptions {
  /** Tokens of one row, at most the model's context; texts may be one token longer. */
  readonly length: number;
  readonly rows: number;
  readonly precision: Precision;
  /** Whose weights are used; absent: the scorer has its own. */
  readonly shared?: Engine;
}

/** Positions whose logits are made at a time. */
const PICKS = 128;

/** Row length and rows for these texts: one program, about two thousand tokens a run on this kind of device. */
export function scoringShape(texts: readonly ScoredText[], context: number): BatchShape {
  const longest = Math.max(1, ...texts.map(({ tokens }) => tokens.length - 1));
  const total = texts.reduce((sum, { tokens }) => sum + tokens.length - 1, 0);
  const length = Math.min(context, Math.max(longest, Math.min(512, total)));
  const rows = Math.max(1, Math.min(Math.ceil(2048 / length), Math.ceil(total / length)));
  return { rows, length };
}

export class Scorer {
  readonly engine: Engine;
  /** Tokens that were computed, and those of them that were no padding. */
  readonly counts = { computed: 0, used: 0 };
  private readonly shape: BatchShape;

  constructor(device: Device, model: LanguageModel, options: ScorerOptions) {
    const { length, rows, precision, shared } = options;
    this.shape = { rows, length };
    const target = targetOf(device);
    this.engine = new Engine(
      device,
      new Map([
        [
          "score_hidden",
          compileIn(precision, buildHidden(model, this.shape, precision), target),
        ] as const,
        [
          "score_tokens",
          compileIn(precision, buildTokenScores(model, this.shape, PICKS, precision), target),
        ] as const,
      ]),
      shared,
    );
  }

  /** In the order of `texts`. `onText` is told how many are done. */
  async score(
    texts: readonly ScoredText[],
    onText: (done: number) => void = () => {},
    signal?: AbortSignal,
  ): Promise<TextScore[]> {
    const { rows, length } = this.shape;
    const lengths = texts.map(({ tokens }) => tokens.length - 1);
    assert(
      lengths.every((each) => each >= 1 && each <= length),
      "a text fits a row",
    );
    const placed = packTexts(lengths, length);
    const batches = new Map<number, Placed[]>();
    for (const place of placed) {
      const batch = Math.floor(place.row / rows);
      const known = batches.get(batch);
      if (known === undefined) batches.set(batch, [place]);
      else known.push(place);
    }
    const scores = new Array<TextScore>(texts.length);
    let done = 0;
    for (const batch of batches.values()) {
      if (signal?.aborted === true) break;
      await this.scoreBatch(texts, batch, scores);
      done += batch.length;
      onText(done);
    }
    return scores;
  }

  free(): void {
    this.engine.free();
  }

  private async scoreBatch(
    texts: readonly ScoredText[],
    batch: readonly Placed[],
    scores: TextScore[],
  ): Promise<void> {
    const { rows, length } = this.shape;
    const tokens = new Int32Array(rows * length);
    const positions = new Int32Array(rows * length);
    // A place that no text takes is a text of its own.
    const documents = Uint32Array.from({ length: rows * length }, (_, i) => i % length);
    const picks: number[] = [];
    const targets: number[] = [];
    for (const { text, row, start } of batch) {
      const { tokens: ids, scored } = textAt(texts, text);
      const at = (row % rows) * length + start;
      const inputs = ids.length - 1;
      for (let i = 0; i < inputs; i++) {
        tokens[at + i] = ids[i] ?? 0;
        positions[at + i] = i;
        documents[at + i] = start;
      }
      this.counts.used += inputs;
      for (let i = inputs - scored; i < inputs; i++) {
        picks.push(at + i);
        targets.push(ids[i + 1] ?? 0);
      }
    }
    this.counts.computed += rows * length;
    const run = await this.engine.start("score_hidden", { tokens, positions, documents });
    const { loss, right } = await this.judge(picks, targets);
    await run.done();
    let at = 0;
    for (const { text } of batch) {
      const { scored } = textAt(texts, text);
      const logprobs = loss.slice(at, at + scored).map((value) => -value);
      const greedy = right.subarray(at, at + scored).every((each) => each === 1);
      scores[text] = { logprobs, greedy };
      at += scored;
    }
  }

  /** Loss of each target, and whether it is the likeliest token. */
  private async judge(picks: readonly number[], targets: readonly number[]) {
    const loss = new Float32Array(picks.length);
    const right = new Uint8Array(picks.length);
    const chunk = { picks: new Int32Array(PICKS), targets: new Int32Array(PICKS) };
    for (let at = 0; at < picks.length; at += PICKS) {
      const count = Math.min(PICKS, picks.length - at);
      chunk.picks.fill(0).set(picks.slice(at, at + count));
      chunk.targets.fill(0).set(targets.slice(at, at + count));
      const run = await this.engine.start("score_tokens", chunk);
      const losses = await run.output("loss");
      const likeliest = await run.output("likeliest");
      assert(losses instanceof Float32Array, "losses are f32");
      assert(likeliest instanceof Int32Array, "likeliest tokens are i32");
      loss.set(losses.subarray(0, count), at);
      for (let i = 0; i < count; i++) right[at + i] = likeliest[i] === targets[at + i] ? 1 : 0;
    }
    const bad = loss.findIndex((value) => !Number.isFinite(value));
    if (bad !== -1)
      throw new UserError(
        `the model's log-probability of token ${targets[bad]} is ${-(loss[bad] ?? 0)}`,
        {
          code: "run_failed",
          hint: "its weights hold numbers that are not finite, or their activations overflow",
        },
      );
    return { loss, right };
  }
}

function textAt(texts: readonly ScoredText[], index: number): ScoredText {
  const text = texts[index];
  assert(text !== undefined, "a placed text is one of the texts");
  return text;
}
