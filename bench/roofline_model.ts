/**
 * @file The least time that each launch of a program takes on a GPU: what it must read and write at the memory's speed, or what it
 * multiplies at the tensor cores', whichever is longer. Computed from the encoded program alone, so that it needs no GPU.
 * Launches are those of zig/cuda/launches.zig, but for what joins partial sums; every parameter's step of AdamW counts as one, though
 * all are one launch. What the GPU's caches answer is not counted.
 */
import type { Program, ProgramInstruction, ProgramOperand } from "../src/program/program.ts";
import { gpuPeakFlops } from "../src/train/peak.ts";
import { dtypeBytes } from "../src/util/dtype.ts";

/** What a GPU reaches at best, in bytes and FLOPs a second. */
export interface Ceilings {
  readonly bandwidth: number;
  readonly products: number;
  /** Of products in f32, which no tensor core computes here. */
  readonly productsF32: number;
  readonly attention: number;
}

/** HBM in TB/s as its maker states it; the more special first. */
const BANDWIDTHS: readonly (readonly [name: RegExp, terabytes: number])[] = [
  [/H200/i, 4.8],
  [/H100 PCIe/i, 2.0],
  [/H100 NVL/i, 3.9],
  [/B200|GB200/i, 8.0],
  [/A100.*40GB/i, 1.555],
  [/A100|A800/i, 2.0],
];
/** H100 SXM: also of GPUs that the table does not know. */
const USUAL = "H100";
const USUAL_BANDWIDTH = 3.35;
/** Best of the peak: 700 of 989 TFLOP/s in large products, 265 in causal attention with heads of 64 dims (FlashAttention 3). */
const PRODUCTS_SHARE = 700 / 989.4;
const ATTENTION_SHARE = 265 / 989.4;

export function ceilingsOf(gpu: string): Ceilings {
  const peak = (name: string, bf16: boolean): number => gpuPeakFlops(name, bf16) ?? 0;
  const name = peak(gpu, true) > 0 ? gpu : USUAL;
  const bandwidth = BANDWIDTHS.find(([pattern]) => pattern.test(name))?.[1] ?? USUAL_BANDWIDTH;
  return {
    bandwidth: bandwidth * 1e12,
    products: peak(name, true) * PRODUCTS_SHARE,
    productsF32: peak(name, false),
    attention: peak(name, true) * ATTENTION_SHARE,
  };
}

type Rate = Exclude<keyof Ceilings, "bandwidth">;

export interface Cost {
  readonly kernel: string;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly flops: number;
  readonly rate: Rate;
}

export interface Launch extends Cost {
  readonly instruction: number;
  readonly scope: string;
  readonly ms: number;
}

/** Different elements: a dim that is repeated counts once. */
const elements = ({ shape, strides }: ProgramOperand): number =>
  shape.reduce((product, size, i) => (strides[i] === 0 ? product : product * size), 1);

const bytesOf = (operand: ProgramOperand | undefined): number =>
  operand === undefined ? 0 : elements(operand) * dtypeBytes(operand.dtype);

const total = (operands: readonly (ProgramOperand | undefined)[]): number =>
  operands.reduce((sum, operand) => sum + bytesOf(operand), 0);

const isSame = (a: ProgramOperand, b: ProgramOperand): boolean =>
  a.buffer === b.buffer && a.offsetBytes === b.offsetBytes;

/** The operands of an instruction without its workspace. */
interface Parts {
  readonly inputs: readonly ProgramOperand[];
  readonly outputs: readonly ProgramOperand[];
  readonly words: readonly number[];
}

function partsOf({ operands, hasWorkspace, words }: ProgramInstruction): Parts {
  const named = hasWorkspace ? operands.slice(0, -1) : operands;
  const inputs = named.filter(({ output }) => !output);
  return { inputs, outputs: named.filter(({ output }) => output), words };
}

const cost = (
  kernel: string,
  reads: number,
  writes: number,
  flops = 0,
  rate: Rate = "products",
): Cost => ({ kernel, readBytes: reads, writtenBytes: writes, flops, rate });

const dimOf = (operand: ProgramOperand | undefined, dim: number): number =>
  operand?.shape.at(dim) ?? 1;

const productRate = (compute: number | undefined): Rate =>
  compute === 1 ? "products" : "productsF32";

function matmul({ inputs, outputs, words }: Parts): Cost[] {
  const [a, b] = inputs;
  const flops = 2 * dimOf(a, 0) * dimOf(a, 1) * dimOf(a, 2) * dimOf(b, 2);
  return [cost("product", total(inputs), total(outputs), flops, productRate(words[1]))];
}

/** Pairs of a query and a key that see each other, times the dims of a head. */
function attended({ inputs, words }: Parts): number {
  const [q, k] = inputs;
  const [batch, queries, heads, dims] = [0, 1, 2, 3].map((dim) => dimOf(q, dim));
  const pairs = (queries ?? 1) * dimOf(k, 1) * (words[0] === 1 ? 0.5 : 1);
  return pairs * (batch ?? 1) * (heads ?? 1) * (dims ?? 1);
}

const attention = (parts: Parts): Cost[] => [
  cost("attention", total(parts.inputs), total(parts.outputs), 4 * attended(parts), "attention"),
];

/** delta; keys and values (scores, dp, dk, dv); queries (scores, dp, dq). */
function attentionGrad(parts: Parts): Cost[] {
  const [q, k, v, out, lse, dout] = parts.inputs;
  const [dq, dk, dv] = parts.outputs;
  const read = total([q, k, v, dout, lse, lse]);
  const pairs = attended(parts);
  return [
    cost("attention_delta", total([out, dout]), bytesOf(lse)),
    cost("attention_grad_keys", read, total([dk, dv]), 8 * pairs, "attention"),
    cost("attention_grad_queries", read, bytesOf(dq), 6 * pairs, "attention"),
  ];
}

/** Rows of x in chunks: logits, losses (with `grad` in place of the logits their gradients), dx and dw. */
function loss({ inputs, outputs, words }: Parts, grad: boolean): Cost[] {
  const [x, w] = inputs;
  const [rows, width, vocabulary] = [dimOf(x, 0), dimOf(x, -1), dimOf(w, 0)];
  const bytes = words[0] === 1 ? 2 : 4;
  const rate = productRate(words[0]);
  const made: Cost[] = [];
  const hasBase = grad && words[2] === 1;
  const dw = outputs[3];
  for (let start = 0; start < rows; start += words[1] ?? rows) {
    const n = Math.min(words[1] ?? rows, rows - start);
    const logits = n * vocabulary * bytes;
    const part = bytesOf(x) * (n / rows);
    const flops = 2 * n * width * vocabulary;
    made.push(cost("product, logits", part + bytesOf(w), logits, flops, rate));
    made.push(cost("losses", logits + 8 * n, (grad ? logits : 0) + 8 * n));
    if (!grad) continue;
    const dx = bytesOf(outputs[2]) * (n / rows);
    const base = start > 0 || hasBase ? bytesOf(dw) : 0;
    made.push(cost("product, loss dx", logits + bytesOf(w), dx, flops, rate));
    made.push(cost("product, loss dw", logits + part + base, bytesOf(dw), flops, rate));
  }
  return made;
}

/** The rows that ids name, not the whole table. */
const picked = ({ inputs, outputs }: Parts, ids: number, kernel: string): Cost[] => [
  cost(kernel, bytesOf(inputs[ids]) + total(outputs), total(outputs)),
];

/** Rows that ids name are read and written; all others are copied or filled unless they lie there already. */
function embeddingGrad({ inputs, outputs }: Parts): Cost[] {
  const [ids, dy, base] = inputs;
  const [table] = outputs;
  const whole = bytesOf(table);
  const rows = Math.min(dimOf(table, 0), elements(ids ?? (dy as ProgramOperand)));
  const touched = (whole / Math.max(1, dimOf(table, 0))) * rows;
  const prepared =
    base === undefined
      ? [cost("fill", 0, whole)]
      : table !== undefined && isSame(base, table)
        ? []
        : [cost("copy", bytesOf(base), whole)];
  return [...prepared, cost("scatter_add", 4 * bytesOf(ids) + bytesOf(dy) + touched, touched)];
}

const simple =
  (kernel: string) =>
  ({ inputs, outputs }: Parts): Cost[] => [cost(kernel, total(inputs), total(outputs))];

function copy(parts: Parts): Cost[] {
  const [from] = parts.inputs;
  const [to] = parts.outputs;
  const stays = from !== undefined && to !== undefined && isSame(from, to);
  return stays ? [] : simple("copy")(parts);
}

const MODELS: Readonly<Record<string, (parts: Parts) => Cost[]>> = {
  copy,
  matmul,
  attention,
  attention_grad: attentionGrad,
  linear_cross_entropy: (parts) => loss(parts, false),
  linear_cross_entropy_grad: (parts) => loss(parts, true),
  embedding: (parts) => picked(parts, 0, "embedding"),
  gather: (parts) => picked(parts, 1, "gather"),
  embedding_grad: embeddingGrad,
};

/** In the order in which they run. */
export function launchesOf(program: Program, ceilings: Ceilings): Launch[] {
  const made: Launch[] = [];
  program.instructions.forEach((instruction, index) => {
    const model = MODELS[instruction.opcode] ?? simple(instruction.opcode);
    for (const each of model(partsOf(instruction))) {
      const moved = (each.readBytes + each.writtenBytes) / ceilings.bandwidth;
      const ms = 1e3 * Math.max(moved, each.flops / ceilings[each.rate]);
      made.push({ ...each, instruction: index, scope: instruction.scope, ms });
    }
  });
  return made;
}

/** Layers are folded together: `blocks.3.mlp.up` counts as `blocks.*.mlp.up`. */
export const foldedScope = (scope: string): string => scope.replace(/\.\d+\./g, ".*.");
