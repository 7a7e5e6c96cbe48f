/** @file Buffers: copies in and out, windows, files. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDevice } from "../../src/runtime/index.ts";

const folder = mkdtempSync(join(tmpdir(), "theseus-buffer-"));
const device = openDevice({ threads: 1, guarded: true });
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true });
});

test("views of any type and offset are copied exactly", () => {
  const buffer = device.alloc(64);
  const whole = Float32Array.from({ length: 16 }, (_, i) => i);
  buffer.write(whole.subarray(4, 8), 16);
  const back = new Float32Array(16);
  buffer.read(back);
  expect([...back]).toEqual([0, 0, 0, 0, 4, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
  const window = new Float64Array(3);
  buffer.read(new Uint8Array(window.buffer, 8, 4), 20);
  expect([...new Float32Array(window.buffer)]).toEqual([0, 0, 5, 0, 0, 0]);
  buffer.read(new DataView(window.buffer, 0, 4), 28);
  expect(new Float32Array(window.buffer)[0]).toBe(7);
  buffer.write(new Uint8Array(0), 64);
});

test("fill, copy and map see the same memory", () => {
  const [left, right] = [device.alloc(100), device.alloc(100)];
  left.fill(7, 10, 20);
  right.copyFrom(left, 5, 50, 30);
  const window = right.map(50, 30);
  expect([...window]).toEqual([...Array(5).fill(0), ...Array(20).fill(7), ...Array(5).fill(0)]);
  window[0] = 9;
  const byte = new Uint8Array(1);
  right.read(byte, 50);
  expect(byte[0]).toBe(9);
});

test("a range outside the buffer is refused", () => {
  const buffer = device.alloc(100);
  const view = new Uint8Array(10);
  expect(() => buffer.write(view, 91)).toThrow(
    "10 bytes at offset 91 lie outside a buffer of 100 bytes",
  );
  expect(() => buffer.read(view, -1)).toThrow("outside a buffer");
  expect(() => buffer.fill(0, 0, 2 ** 52)).toThrow("outside a buffer");
});

test("a freed handle is refused, also when its place is used again", () => {
  const buffer = device.alloc(8);
  buffer.free();
  device.alloc(8);
  expect(() => buffer.write(new Uint8Array(1))).toThrow("is not the handle of a buffer");
  expect(() => buffer.free()).toThrow("is not the handle of a buffer");
});

test("more memory than there is: an error before anything is touched", () => {
  expect(() => device.alloc(2 ** 45)).toThrow(/do not fit into the \d+ that this machine had free/);
});

test("parts of a buffer go to positions of a file and come back", () => {
  const path = join(folder, "weights \u00e9.bin");
  const buffer = device.alloc(3_000_000);
  const values = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 7) % 251);
  buffer.write(values);
  buffer.saveTo(path, 100, 1000, 2_000_000);
  const file = readFileSync(path);
  expect(file.length).toBe(2_000_100);
  expect(file.subarray(100).equals(values.subarray(1000, 2_001_000))).toBe(true);
  buffer.saveTo(path, 0, 5, 100);
  expect(readFileSync(path).length).toBe(2_000_100);
  buffer.fill(0);
  buffer.loadFrom(path, 100, 1000, 2_000_000);
  const back = new Uint8Array(2_000_000);
  buffer.read(back, 1000);
  expect(Buffer.compare(back, values.subarray(1000, 2_001_000))).toBe(0);
});

test("files that are missing, short or not writable are errors with the path", () => {
  const buffer = device.alloc(100);
  const path = join(folder, "short.bin");
  expect(() => buffer.loadFrom(path)).toThrow(`cannot open ${path}: NOENT`);
  writeFileSync(path, new Uint8Array(40));
  expect(() => buffer.loadFrom(path)).toThrow(`${path} ends 60 bytes short of byte 100`);
  expect(() => buffer.saveTo(join(folder, "no", "folder.bin"))).toThrow("NOENT");
  expect(() => buffer.saveTo("/dev/full")).toThrow("cannot write /dev/full: NOSPC");
});
