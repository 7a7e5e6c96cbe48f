/** @file Event files, byte for byte, against vectors that TensorBoard's own reader accepts (scripts/parity/read_tensorboard.py). */
import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TensorboardWriter } from "../../src/train/tensorboard.ts";
import { crc32c } from "../../src/util/crc32c.ts";

test("crc32c of the published check string", () => {
  expect(crc32c(new TextEncoder().encode("123456789"))).toBe(0xe3069283);
});

test("frames carry a version event, the session start and scalars", () => {
  const folder = mkdtempSync(join(tmpdir(), "theseus-tb-"));
  const writer = new TensorboardWriter(folder, 7, 1.5);
  writer.scalars(300, { loss: 2.5 }, 2.5);
  const bytes = readFileSync(join(folder, readdirSync(folder)[0] ?? ""));
  const events: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    const data = bytes.subarray(at + 12, at + 12 + length);
    const crc = crc32c(data);
    expect(bytes.readUInt32LE(at + 12 + length)).toBe(
      (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0,
    );
    events.push(data);
    at += 16 + length;
  }
  expect(events.map((event) => event.toString("hex"))).toEqual([
    "09000000000000f83f1a0d627261696e2e4576656e743a32",
    "09000000000000f83f10073a020801",
    "0900000000000004" + "4010ac022a0d0a0b0a046c6f73731500002040",
  ]);
  rmSync(folder, { recursive: true });
});
