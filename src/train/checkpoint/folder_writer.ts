/**
 * @file Writes the tensors of a model as a Hugging Face folder has them: model.safetensors, or shards with an index. Tensors stream
 * from wherever they are; a file is never in memory as a whole.
 */
import { closeSync, fsyncSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeAll } from "../../util/atomic_file.ts";
import { assert, UserError } from "../../util/errors.ts";
import { type FloatDtype, narrow } from "./half.ts";
import { SAFETENSORS_DTYPES, safetensorsHeader } from "./safetensors.ts";
import { INDEX_FILE, WEIGHTS_FILE } from "./weight_files.ts";

export interface OutTensor {
  readonly name: string;
  readonly dtype: FloatDtype;
  readonly shape: readonly number[];
  /** Calls `use` with the values in order, part by part. */
  read(use: (values: Float32Array<ArrayBuffer>) => void): void;
}

/** Names of files and the tensors in each. */
export type FileLayout = ReadonlyMap<string, readonly OutTensor[]>;

const bytesOf = ({ shape, dtype }: OutTensor): number =>
  shape.reduce((n, size) => n * size, SAFETENSORS_DTYPES[dtype]);

/** As the reference writer orders them: wide dtypes first, then by name. */
function inFile(a: OutTensor, b: OutTensor): number {
  const wider = SAFETENSORS_DTYPES[b.dtype] - SAFETENSORS_DTYPES[a.dtype];
  return wider !== 0 ? wider : a.name < b.name ? -1 : 1;
}

const INFINITE = { BF16: 0x7f80, F16: 0x7c00 } as const;

/** A weight that the narrower format has no number for must not become infinite unnoticed. */
function expectFinite(
  name: string,
  values: Float32Array,
  bits: Uint16Array,
  dtype: "BF16" | "F16",
): void {
  const infinite = INFINITE[dtype];
  let at = 0;
  while (
    at < bits.length &&
    !(((bits[at] ?? 0) & 0x7fff) === infinite && Number.isFinite(values[at]))
  )
    at++;
  if (at === bits.length) return;
  throw new UserError(`${name} holds ${values[at]}, for which ${dtype} has no number`, {
    code: "config",
    hint: "bf16 reaches as far as f32",
  });
}

function writeFile(path: string, unsorted: readonly OutTensor[]): void {
  const tensors = [...unsorted].sort(inFile);
  const parts = tensors.map((tensor) => ({ ...tensor, bytes: bytesOf(tensor) }));
  const fd = openSync(path, "wx");
  try {
    writeAll(fd, safetensorsHeader(parts, { format: "pt" }));
    for (const { dtype, name, bytes, read } of parts) {
      let written = 0;
      read((values) => {
        const bits = dtype === "F32" ? values : new Uint16Array(values.length);
        if (dtype !== "F32" && bits instanceof Uint16Array) {
          narrow(dtype, values, bits);
          expectFinite(name, values, bits, dtype);
        }
        writeAll(fd, new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength));
        written += bits.byteLength;
      });
      assert(written === bytes, `${name} gave ${written} of ${bytes} bytes`);
    }
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Tensors in their order, into as many files as keep each within `shardBytes`; a larger tensor has a file of its own. */
export function shardLayout(tensors: readonly OutTensor[], shardBytes: number): FileLayout {
  const shards: OutTensor[][] = [];
  let filled = Number.POSITIVE_INFINITY;
  for (const tensor of tensors) {
    const bytes = bytesOf(tensor);
    if (filled + bytes > shardBytes) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)?.push(tensor);
    filled += bytes;
  }
  const number = (n: number) => String(n).padStart(5, "0");
  const named = (i: number) => `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
  return new Map(shards.map((part, i) => [shards.length === 1 ? WEIGHTS_FILE : named(i), part]));
}

function indexText(layout: FileLayout): string {
  const all = [...layout].flatMap(([file, tensors]) => tensors.map((each) => ({ file, each })));
  const sum = (of: (tensor: OutTensor) => number) => all.reduce((n, { each }) => n + of(each), 0);
  const sorted = [...all].sort((a, b) => (a.each.name < b.each.name ? -1 : 1));
  const index = {
    metadata: {
      total_parameters: sum(({ shape }) => shape.reduce((n, size) => n * size, 1)),
      total_size: sum(bytesOf),
    },
    weight_map: Object.fromEntries(sorted.map(({ file, each }) => [each.name, file])),
  };
  return `${JSON.stringify(index, null, 2)}\n`;
}

/** Into a folder that exists and holds none of these files. */
export function writeFolder(folder: string, layout: FileLayout): void {
  for (const [file, tensors] of layout) writeFile(join(folder, file), tensors);
  if (layout.size > 1 || !layout.has(WEIGHTS_FILE))
    writeFileSync(join(folder, INDEX_FILE), indexText(layout));
}
