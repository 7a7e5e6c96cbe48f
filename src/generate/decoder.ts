/**
 * @file A model on a device with a cache of keys and values for several sequences. It knows rows, tokens and places, and
 * gives logits; what to run next and which token to take is decided above it.
 */
import type { LanguageModel } from "../nn/language_model.ts";
import type { Precision } from "../nn/trace.ts";
import type { Device } from "../runtime/index.ts";
import { Engine } from "../train/engine.ts";
import type { ProgramName } from "../train/job_programs.ts";
import { compileIn } from "../train/precision.ts";
import type { BatchShape } from "../train/programs.ts";
import { targetOf } from "../train/target.ts";
import { assert } from "../util/errors.ts";
import { buildGeneration, generationName } from "./programs.ts";

export interface DecoderOptions {
  /** Sequences at a time. */
  readonly rows: number;
  /** Tokens of a sequence, prompt and answer together; at most the model's context. */
  readonly places: number;
  readonly precision: Precision;
  /** Whose weights are used; absent: the decoder has its own. */
  readonly shared?: Engine;
}

/** Tokens of one row that follow the `start` tokens which are in its cache already. */
export interface Piece {
  readonly row: number;
  readonly start: number;
  readonly tokens: readonly number[];
}

const PADDING = -1;
/** Tokens of a long prompt that are worked on at a time, and of a middling one. */
const LONG = 128;
const MIDDLE = 64;
/** Short prompts, which are worked on together. */
const SHORT = 16;
const SHORT_ROWS = 8;

/** Reading all weights once takes about as long as computing so many tokens. */
const WEIGHTS_TOKENS = 32;

/** Programs for one token of 1, 2, 4 ... rows, for a few tokens of one or several rows, and for many of one. */
function shapesFor(rows: number, places: number): BatchShape[] {
  const counts = Array.from({ length: Math.ceil(Math.log2(rows)) }, (_, i) => 2 ** i);
  const upTo = (most: number): number => Math.min(most, places);
  const [short, middle, long] = [upTo(SHORT), upTo(MIDDLE), upTo(LONG)];
  const shapes = [
    ...[...counts, rows].map((count) => ({ rows: count, length: 1 })),
    { rows: 1, length: short },
    ...(rows > 1 ? [{ rows: Math.min(rows, SHORT_ROWS), length: short }] : []),
    ...(middle > short ? [{ rows: 1, length: middle }] : []),
    ...(long > middle ? [{ rows: 1, length: long }] : []),
  ];
  // A context of one token has no prompts of several.
  return shapes.filter(({ length }, i) => length > 1 || i <= counts.length);
}

export class Decoder {
  readonly rows: number;
  readonly places: number;
  readonly vocabSize: number;
  readonly engine: Engine;
  private readonly shapes: readonly BatchShape[];

  constructor(device: Device, model: LanguageModel, options: DecoderOptions) {
    const { rows, places, precision, shared } = options;
    this.rows = rows;
    this.places = places;
    this.vocabSize = model.vocabSize;
    this.shapes = shapesFor(rows, places);
    const target = targetOf(device);
    const programs = this.shapes.map((shape) => {
      const graph = buildGeneration(model, { rows, places }, shape, precision);
      return [graph.name as ProgramName, compileIn(precision, graph, target)] as const;
    });
    this.engine = new Engine(device, new Map(programs), shared);
  }

  /**
   * What to run next of rows that wait with `lengths` tokens: how many of them, from the first on, and at most how many tokens
   * of each. The program whose places are used best wins: a long prompt goes alone, several go together piece by piece.
   */
  plan(lengths: readonly number[]): { readonly rows: number; readonly tokens: number } {
    const worth = ({ rows, length }: BatchShape): number => {
      const useful = lengths.slice(0, rows).map((count) => Math.min(count, length));
      return useful.reduce((sum, count) => sum + count, 0) / (rows * length + WEIGHTS_TOKENS);
    };
    const [best] = this.shapes.toSorted((x, y) => worth(y) - worth(x));
    assert(best !== undefined, "a decoder has programs");
    const taken = lengths.slice(0, best.rows);
    return { rows: taken.length, tokens: Math.min(best.length, Math.max(...taken)) };
  }

  /** Puts the pieces into the cache; logits after the last token of each, in their order. */
  async run(pieces: readonly Piece[]): Promise<Float32Array[]> {
    const shape = this.shapeFor(pieces);
    const { rows, length } = shape;
    const tokens = new Int32Array(rows * length);
    const slots = new Int32Array(rows * length).fill(PADDING);
    const row = new Int32Array(rows);
    const last = new Int32Array(rows);
    pieces.forEach((piece, i) => {
      this.checkPlaces(piece);
      row[i] = piece.row;
      last[i] = i * length + piece.tokens.length - 1;
      tokens.set(piece.tokens, i * length);
      for (let at = 0; at < piece.tokens.length; at++) slots[i * length + at] = piece.start + at;
    });
    const inputs = { tokens, slots, rows: row, ...(length > 1 ? { last } : {}) };
    const run = await this.engine.start(generationName(shape), inputs);
    const logits = await run.outputSoon("logits");
    assert(logits instanceof Float32Array, "logits are not f32");
    const { vocabSize } = this;
    return pieces.map((_, i) => logits.subarray(i * vocabSize, (i + 1) * vocabSize));
  }

  free(): void {
    this.engine.free();
  }

  /** The program with the fewest tokens that takes them all. */
  private shapeFor(pieces: readonly Piece[]): BatchShape {
    const most = Math.max(...pieces.map(({ tokens }) => tokens.length));
    const [best] = this.shapes
      .filter(({ rows, length }) => rows >= pieces.length && length >= most)
      .toSorted((x, y) => x.rows * x.length - y.rows * y.length);
    assert(best !== undefined, `no program takes ${pieces.length} rows of ${most} tokens`);
    return best;
  }

  private checkPlaces({ row, start, tokens }: Piece): void {
    const fits = row >= 0 && row < this.rows && start + tokens.length <= this.places;
    assert(fits && tokens.length > 0, `no room for ${tokens.length} tokens at ${row}:${start}`);
  }
}
