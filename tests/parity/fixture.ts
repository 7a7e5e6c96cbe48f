/** @file Reads the fixtures that scripts/parity/make_fixtures.py wrote, and builds the model each one describes. */
import { join } from "node:path";
import { Gpt, type GptOptions } from "../../src/models/gpt/gpt.ts";

export const VARIANTS = ["gpt2_style", "llama_style"] as const;

interface FixtureConfig {
  n_layer: number;
  n_embd: number;
  n_head: number;
  n_kv_head: number | null;
  block_size: number;
  vocab_size: number;
  positions: "learned" | "rotary";
  bias: boolean;
  tie_embeddings: boolean;
  norm: "layer" | "rms";
  norm_eps: number;
  activation: "gelu_tanh" | "silu";
  glu: boolean;
  ff_width: number | null;
  rope_theta: number;
  rows: number;
  length: number;
}

interface FixtureDocument {
  config: FixtureConfig;
  optimizer: {
    learning_rate: number;
    betas: [number, number];
    eps: number;
    weight_decay: number;
    grad_clip: number;
  };
  mapping: Record<string, { torch: string; transposed: boolean }>;
  batches: { tokens: number[]; targets: number[] }[];
  loss: number;
  training: { losses: number[]; grad_norms: number[] };
}

export interface Fixture extends FixtureDocument {
  /** `param/<path>`, `grad/<path>`, `activation/<name>`. */
  readonly tensors: ReadonlyMap<string, Float32Array>;
}

const directory = join(import.meta.dir, "../fixtures/parity");

/** Our own reader: the one under test elsewhere is not needed to read our own files. */
async function readTensors(path: string): Promise<Map<string, Float32Array>> {
  const bytes = await Bun.file(path).arrayBuffer();
  const headerBytes = Number(new DataView(bytes).getBigUint64(0, true));
  const text = new TextDecoder().decode(new Uint8Array(bytes, 8, headerBytes));
  const header = JSON.parse(text) as Record<string, { data_offsets: [number, number] }>;
  const start = 8 + headerBytes;
  return new Map(
    Object.entries(header).map(
      ([
        name,
        {
          data_offsets: [from, to],
        },
      ]) => [name, new Float32Array(bytes.slice(start + from, start + to))],
    ),
  );
}

export async function readFixture(name: string): Promise<Fixture> {
  const document = (await Bun.file(join(directory, `${name}.json`)).json()) as FixtureDocument;
  return { ...document, tensors: await readTensors(join(directory, `${name}.safetensors`)) };
}

export function tensorOf(fixture: Fixture, name: string): Float32Array {
  const tensor = fixture.tensors.get(name);
  if (tensor === undefined) throw new Error(`the fixture has no tensor ${name}`);
  return tensor;
}

export function modelOf({ config }: Fixture): Gpt {
  const options: GptOptions = {
    nLayer: config.n_layer,
    nEmbd: config.n_embd,
    nHead: config.n_head,
    nKvHead: config.n_kv_head,
    blockSize: config.block_size,
    vocabSize: config.vocab_size,
    positions: config.positions,
    bias: config.bias,
    tieEmbeddings: config.tie_embeddings,
    norm: config.norm,
    normEps: config.norm_eps,
    activation: config.activation,
    glu: config.glu,
    ffMult: 4,
    ffWidth: config.ff_width,
    ropeTheta: config.rope_theta,
    dropout: 0,
  };
  return new Gpt(options);
}

/** ||ours - theirs|| / ||theirs||. */
export function relativeError(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  if (ours.length !== theirs.length) {
    throw new Error(`${ours.length} values against ${theirs.length}`);
  }
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < theirs.length; i++) {
    const expected = theirs[i] ?? 0;
    difference += ((ours[i] ?? 0) - expected) ** 2;
    norm += expected ** 2;
  }
  return Math.sqrt(difference / norm);
}

/** Part of a qkv bias gradient that belongs to the keys: truly zero, for softmax ignores what all scores share. */
export function keyBiasPart({ config }: Fixture, gradient: ArrayLike<number>): number[] {
  const dim = config.n_embd / config.n_head;
  const from = config.n_head * dim;
  const to = from + (config.n_kv_head ?? config.n_head) * dim;
  return Array.from(gradient).slice(from, to);
}
