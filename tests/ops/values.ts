/** @file Seeded values for op samples: what a `SampleInput` asks for, as the f64 tensors of the reference executor. */
import { at } from "../../src/ops/check.ts";
import type { AnyOp, Sample, SampleInput } from "../../src/ops/define.ts";
import { type RefTensor, refTensor } from "../../src/ops/reference.ts";
import type { DType } from "../../src/util/dtype.ts";
import { philox4x32 } from "../../src/util/prng.ts";

/** Uniform numbers in [0, 1) that depend on `name` alone. */
export function uniformSource(name: string): () => number {
  const key = [Bun.hash.crc32(name) >>> 0, name.length] as const;
  const words = new Uint32Array(4);
  let count = 0;
  return () => {
    if (count % 4 === 0) philox4x32([count / 4, 0, 0, 0], key, words);
    const word = at(words, count % 4);
    count++;
    return word / 2 ** 32;
  };
}

/** A standard normal number per call. */
export function normalSource(name: string): () => number {
  const uniform = uniformSource(name);
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

const word = new DataView(new ArrayBuffer(4));

/** The nearest bf16 (ties to even) of a finite number. */
export function roundBf16(value: number): number {
  word.setFloat32(0, value);
  const bits = word.getUint32(0);
  word.setUint32(0, (bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000);
  return word.getFloat32(0);
}

/** As the dtype stores it, so that kernel and reference start from the same numbers. */
export function stored(value: number, dtype: DType): number {
  if (dtype === "f32") return Math.fround(value);
  return dtype === "bf16" ? roundBf16(value) : value;
}

function defaultFill(dtype: DType): SampleInput["fill"] {
  if (dtype === "bool") return "mask";
  return dtype === "f32" || dtype === "bf16" ? "normal" : "ids";
}

/** With `exact` floats are not rounded to their dtype, so that bf16 draws do not tie (where max has no gradient). */
export function sampleTensor(input: SampleInput, name: string, exact = false): RefTensor {
  const { shape, dtype, values } = input;
  const out = refTensor(shape, dtype, values);
  if (values !== undefined) return out;
  const { data } = out;
  const uniform = uniformSource(name);
  const normal = normalSource(`${name} normal`);
  const fill = input.fill ?? defaultFill(dtype);
  if (fill === "distinct") {
    for (let i = 0; i < data.length; i++) {
      const j = Math.floor(uniform() * (i + 1));
      data[i] = at(data, j);
      data[j] = i;
    }
    return out;
  }
  const max = input.max ?? 10;
  const draw = {
    normal,
    positive: () => 0.5 + 1.5 * uniform(),
    small: () => 0.1 * normal(),
    ids: () => Math.floor(uniform() * max),
    mask: () => Math.floor(uniform() * 2),
  }[fill ?? "normal"];
  for (let i = 0; i < data.length; i++) data[i] = exact ? draw() : stored(draw(), dtype);
  return out;
}

export const sampleTensors = (op: AnyOp, sample: Sample, exact = false): RefTensor[] =>
  sample.inputs.map((input, i) => sampleTensor(input, `${op.name}/${sample.name}/${i}`, exact));
