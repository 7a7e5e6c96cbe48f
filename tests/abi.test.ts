/** @file The generated side of the binary interface is fresh, and the built library agrees with it. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { generated } from "../scripts/generate_abi.ts";
import { MAP_OPS } from "../src/ops/lowered/map_ops.ts";
import {
  ABI_HASH,
  Activation,
  Dtype,
  MapOp,
  Opcode,
  Status,
  WireBytes,
} from "../src/program/abi.gen.ts";
import { openLibrary } from "../src/runtime/library.ts";
import { readText } from "../src/runtime/native_error.ts";
import { DTYPES, dtypeCode } from "../src/util/dtype.ts";

const root = join(import.meta.dir, "..");

test("generated files are fresh", () => {
  for (const [path, text] of generated()) {
    expect(readFileSync(join(root, path), "utf8"), `${path}: bun scripts/generate_abi.ts`).toBe(
      text,
    );
  }
});

test("the library's own types say the same as the generated numbers", () => {
  const { symbols } = openLibrary();
  const manifest = JSON.parse(readText((text, size) => symbols.theseus_manifest(text, size)));
  expect(manifest.abi_hash).toBe(ABI_HASH);
  expect(manifest.struct_bytes).toEqual(WireBytes);
  const { Dtype: dtypes, Status: statuses, Opcode: opcodes } = manifest;
  expect([dtypes, statuses, opcodes]).toEqual([Dtype, Status, Opcode]);
  expect([manifest.MapOp, manifest.Activation]).toEqual([MapOp, Activation]);
});

test("dtypes and map operations of the compiler have the library's numbers", () => {
  for (const dtype of DTYPES) expect(dtypeCode(dtype)).toBe(Dtype[dtype]);
  expect(Object.keys(MAP_OPS).sort()).toEqual(Object.keys(MapOp).sort());
  for (const [name, op] of Object.entries(MAP_OPS)) {
    expect(op.code, name).toBe(MapOp[name as keyof typeof MapOp]);
  }
});
