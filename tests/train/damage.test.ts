/** @file Damage of every kind to a checkpoint is found, whatever file it hits; writes that are cut short; hostile headers. */
import { afterAll, beforeAll, expect, spyOn, test } from "bun:test";
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commitCheckpoint } from "../../src/train/checkpoint/commit.ts";
import { realFiles } from "../../src/train/checkpoint/files.ts";
import { bytesImage } from "../../src/train/checkpoint/image.ts";
import { newestVerified, verifyCheckpoint } from "../../src/train/checkpoint/restore.ts";
import { readSafetensors } from "../../src/train/checkpoint/safetensors.ts";
import { CheckpointError } from "../../src/util/errors.ts";

const root = mkdtempSync(join(tmpdir(), "theseus-damage-"));
afterAll(() => rmSync(root, { recursive: true }));

const random = (seed: number): ((below: number) => number) => {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
};

const body = (step: number): Uint8Array => Uint8Array.from({ length: 6000 }, (_, i) => i * step);
const contents = (step: number, runId = "r1") => ({
  files: {
    "model.safetensors": bytesImage(body(step)),
    "config.yaml": bytesImage(new TextEncoder().encode(`step: ${step}\n`)),
  },
  manifest: {
    program_version: "0",
    ...{ step, tokens: step * 10, run_id: runId, permanent: false },
    state: { step, loss: 1.25, metrics: '{"step":1}\n', best: null },
    config_hash: "c",
    parent: null,
  },
});
const whole = join(root, "step-000002");
beforeAll(async () => {
  await commitCheckpoint(realFiles, root, contents(1));
  await commitCheckpoint(realFiles, root, contents(2));
});

/** A copy of a good checkpoint, harmed. */
async function verdict(harm: (folder: string) => void): Promise<string> {
  const folder = join(root, "harmed/step-000002");
  rmSync(folder, { recursive: true, force: true });
  cpSync(whole, folder, { recursive: true });
  harm(folder);
  return verifyCheckpoint(realFiles, folder).then(
    () => "verifies",
    (error) => {
      if (!(error instanceof CheckpointError)) throw error;
      return error.message;
    },
  );
}

const HARM: Readonly<Record<string, (path: string, below: (n: number) => number) => void>> = {
  "a flipped bit": (path, below) => {
    const bytes = readFileSync(path);
    const at = below(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8));
    writeFileSync(path, bytes);
  },
  truncation: (path, below) => truncateSync(path, below(readFileSync(path).length)),
  zeros: (path, below) => {
    const bytes = readFileSync(path);
    const at = below(bytes.length - 1);
    // What is zero already is no damage.
    if (bytes.subarray(at).every((byte) => byte === 0)) return rmSync(path);
    bytes.fill(0, at);
    writeFileSync(path, bytes);
  },
  "more bytes": (path, below) =>
    writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.alloc(1 + below(9))])),
  "no file": (path) => rmSync(path),
  "the file of another step": (path) => {
    const name = path.slice(path.lastIndexOf("/"));
    cpSync(join(root, "step-000001", name), path);
  },
};

test("it verifies when nothing is wrong", async () => {
  expect(await verdict(() => {})).toBe("verifies");
});

for (const [name, harm] of Object.entries(HARM))
  test(`${name}, in every file, wherever it is`, async () => {
    const below = random(name.length);
    for (const file of readdirSync(whole))
      for (let i = 0; i < 40; i++)
        expect({
          file,
          i,
          said: await verdict((folder) => harm(join(folder, file), below)),
        }).not.toEqual({ file, i, said: "verifies" });
  });

test("a manifest of another run, and a folder under another number", async () => {
  const other = join(root, "other");
  rmSync(other, { recursive: true, force: true });
  await realFiles.makeFolder(other);
  await commitCheckpoint(realFiles, other, contents(2, "r2"));
  const foreign = (folder: string) =>
    cpSync(join(other, "step-000002/manifest.json"), join(folder, "manifest.json"));
  // The files are the same, so it verifies; but it is not this run's.
  expect(await verdict(foreign)).toBe("verifies");
  const harmed = join(root, "harmed");
  const heard: string[] = [];
  const found = newestVerified(realFiles, harmed, "r1", (message) => heard.push(message));
  await expect(found).rejects.toThrow("none of the 1 checkpoints");
  expect(heard.join()).toContain("belongs to another run (r2)");
  cpSync(whole, join(harmed, "step-000009"), { recursive: true });
  await expect(verifyCheckpoint(realFiles, join(harmed, "step-000009"))).rejects.toThrow(
    "it is the manifest of step 2",
  );
});

test("an older format is read, one from the future and an unknown hash are refused clearly", async () => {
  const edit = (change: (text: string) => string) => (folder: string) => {
    const path = join(folder, "manifest.json");
    writeFileSync(path, change(readFileSync(path, "utf8")));
  };
  const first = edit((text) =>
    text.replace('"format_version": 2', '"format_version": 1').replace(/,\n {2}"hash".*\n/, "\n"),
  );
  expect(await verdict(first)).toBe("verifies");
  const future = edit((text) => text.replace('"format_version": 2', '"format_version": 3'));
  expect(await verdict(future)).toBe("format 3 is newer than this program reads (2)");
  const hash = edit((text) =>
    text
      .replace('"format_version": 2', '"format_version": 1')
      .replace(/"hash": "xxh3-\w+:/, '"hash": "sha512:'),
  );
  expect(await verdict(hash)).toMatch(/expected a hash of the kind xxh3-\w+, found "sha512:/);
});

test("a system that writes less than it is given at a time writes all the same", async () => {
  const handle = await open(join(root, "probe"), "w");
  const prototype = Object.getPrototypeOf(handle) as typeof handle;
  await handle.close();
  const { write } = prototype;
  let calls = 0;
  const spy = spyOn(prototype, "write").mockImplementation(function (
    this: typeof handle,
    ...[bytes, offset, length, position]: unknown[]
  ) {
    calls++;
    const short = Math.min(Number(length), 1 + (calls % 700));
    return Reflect.apply(write, this, [bytes, offset, short, position]);
  } as typeof write);
  try {
    await commitCheckpoint(realFiles, root, contents(3));
  } finally {
    spy.mockRestore();
  }
  expect(calls).toBeGreaterThan(10);
  await verifyCheckpoint(realFiles, join(root, "step-000003"));
  expect(readFileSync(join(root, "step-000003/model.safetensors"))).toEqual(Buffer.from(body(3)));
});

test("headers of random bytes and lengths are refused at once", () => {
  const below = random(7);
  const path = join(root, "hostile");
  const good = '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}';
  for (let i = 0; i < 500; i++) {
    const text = Buffer.from(good.padEnd(56));
    for (let n = 1 + below(4); n > 0; n--) text[below(text.length)] = below(256);
    const length = Buffer.alloc(8);
    const lie = [56n, 2n ** BigInt(below(64)), BigInt(below(200))][below(3)] ?? 0n;
    length.writeBigUInt64LE(lie);
    writeFileSync(path, Buffer.concat([length, text, Buffer.alloc(8)]));
    const began = performance.now();
    try {
      for (const { offset, bytes } of readSafetensors(path).tensors)
        expect(offset + bytes).toBeLessThanOrEqual(72);
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
    }
    expect(performance.now() - began).toBeLessThan(100);
  }
});
