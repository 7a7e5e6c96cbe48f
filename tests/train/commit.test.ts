/** @file The commit protocol: what a crash, a full disk or damage at any point leaves behind. */
import { describe, expect, test } from "bun:test";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CheckpointContents, commitCheckpoint } from "../../src/train/checkpoint/commit.ts";
import { faultyFiles } from "../../src/train/checkpoint/faults.ts";
import { type Files, realFiles } from "../../src/train/checkpoint/files.ts";
import { bytesImage, type FileImage, tensorLayout } from "../../src/train/checkpoint/image.ts";
import {
  listCheckpoints,
  newestVerified,
  removeTemporary,
  verifyCheckpoint,
} from "../../src/train/checkpoint/restore.ts";
import { applyRetention } from "../../src/train/checkpoint/retention.ts";
import { readSafetensors } from "../../src/train/checkpoint/safetensors.ts";
import { CheckpointError } from "../../src/util/errors.ts";

const tensors = (values: Readonly<Record<string, Float32Array>>): FileImage => {
  const { header, parts, bytes } = tensorLayout(
    Object.entries(values).map(([name, data]) => {
      const shape = [data.length];
      return { name, dtype: "F32" as const, shape, bytes: data.byteLength, data };
    }),
  );
  const file = new Uint8Array(bytes);
  file.set(header);
  for (const { tensor, offset } of parts) file.set(new Uint8Array(tensor.data.buffer), offset);
  return bytesImage(file);
};

const contents = (step: number, runId = "r1", permanent = false): CheckpointContents => ({
  files: {
    "model.safetensors": tensors({
      a: new Float32Array(5).fill(step),
      b: new Float32Array(70_000).fill(step + 0.5),
    }),
    "optimizer.safetensors": tensors({ m: new Float32Array(3).fill(-step) }),
    "config.yaml": bytesImage(new TextEncoder().encode("x: 1\n")),
  },
  manifest: {
    program_version: "0",
    step,
    tokens: step * 10,
    run_id: runId,
    permanent,
    state: { sample: step },
    config_hash: "c",
    parent: null,
  },
});

async function inFolder<T>(body: (root: string) => Promise<T>): Promise<T> {
  const root = mkdtempSync(join(tmpdir(), "theseus-commit-"));
  try {
    return await body(root);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

const silent = (): void => undefined;

describe("commit", () => {
  test("writes safetensors that read back, a manifest that verifies, and latest", () =>
    inFolder(async (root) => {
      expect(await commitCheckpoint(realFiles, root, contents(12))).toBe("step-000012");
      const manifest = await verifyCheckpoint(realFiles, `${root}/step-000012`);
      expect(manifest.files.map((file) => file.name)).toEqual([
        "model.safetensors",
        "optimizer.safetensors",
        "config.yaml",
      ]);
      const { tensors } = readSafetensors(`${root}/step-000012/model.safetensors`);
      expect(tensors.map((t) => [t.name, t.shape])).toEqual([
        ["a", [5]],
        ["b", [70_000]],
      ]);
      expect(readFileSync(`${root}/latest`, "utf8")).toBe("step-000012\n");
      expect(readdirSync(root).sort()).toEqual(["latest", "step-000012"]);
    }));

  test("a failure of any single operation leaves the older checkpoint newest and no litter", () =>
    inFolder(async (root) => {
      await commitCheckpoint(realFiles, root, contents(1));
      let failures = 0;
      for (const operation of ["write", "fsync", "rename", "mkdir", "create"]) {
        for (let k = 1; ; k++) {
          // Every kind of refusal, and disks that stay so: what failed once is not tried again and trusted.
          const action = ["eio", "enospc", "edquot", "erofs", "estale"][k % 5];
          const fault = `${operation}:${k}${k % 2 === 0 ? "+" : ""}:${action}`;
          const files = faultyFiles(realFiles, fault);
          const step = 2 + failures;
          const failed = await commitCheckpoint(files, root, contents(step)).then(
            () => false,
            (error) => error instanceof CheckpointError,
          );
          const names = readdirSync(root).filter((name) => name.includes("tmp-"));
          expect(names).toEqual([]);
          const newest = await newestVerified(realFiles, root, "r1", silent);
          // Either nothing happened, or the folder was committed and only `latest` is late.
          expect([1, step]).toContain(newest?.folder.step ?? -1);
          await realFiles.remove(`${root}/step-${String(step).padStart(6, "0")}`);
          if (!failed) break;
          failures++;
        }
      }
      expect(failures).toBeGreaterThan(15);
    }));

  test("tensors larger than a window, at odd offsets, come back whole; a late write may fail", () =>
    inFolder(async (root) => {
      const large = Float32Array.from({ length: 9_000_001 }, (_, i) => i % 8191);
      const wide = {
        ...contents(3),
        files: { "model.safetensors": tensors({ a: large.slice(0, 7), b: large, c: large }) },
      };
      await commitCheckpoint(realFiles, root, wide);
      const path = `${root}/step-000003/model.safetensors`;
      await verifyCheckpoint(realFiles, `${root}/step-000003`);
      const bytes = readFileSync(path);
      for (const { name, offset, bytes: count } of readSafetensors(path).tensors) {
        const expected = name === "a" ? large.slice(0, 7) : large;
        expect(bytes.subarray(offset, offset + count).equals(Buffer.from(expected.buffer))).toBe(
          true,
        );
      }
      const failing = faultyFiles(realFiles, "write:3:enospc");
      const again = { ...wide, manifest: { ...wide.manifest, step: 4 } };
      await expect(commitCheckpoint(failing, root, again)).rejects.toThrow("ENOSPC");
      expect(readdirSync(root).sort()).toEqual(["latest", "step-000003"]);
    }));

  test("a full disk is said before anything is written", () =>
    inFolder(async (root) => {
      const full: Files = { ...realFiles, freeBytes: async () => 1000 };
      const failure = commitCheckpoint(full, root, contents(1));
      expect(failure).rejects.toThrow(/takes 280293 bytes, .* has 1000 free/);
      await failure.catch(silent);
      expect(readdirSync(root)).toEqual([]);
    }));
});

describe("restore", () => {
  const damage: [string, (folder: string) => void, RegExp][] = [
    [
      "a flipped bit",
      (folder) => {
        const path = `${folder}/model.safetensors`;
        const bytes = readFileSync(path);
        bytes[bytes.length - 3] = (bytes[bytes.length - 3] ?? 0) ^ 4;
        writeFileSync(path, bytes);
      },
      /model.safetensors: damaged: expected hash/,
    ],
    [
      "truncation",
      (folder) => truncateSync(`${folder}/optimizer.safetensors`, 20),
      /expected .* bytes, found 20/,
    ],
    [
      "a missing file",
      (folder) => rmSync(`${folder}/config.yaml`),
      /config.yaml: the file is missing/,
    ],
    ["a missing manifest", (folder) => rmSync(`${folder}/manifest.json`), /no readable manifest/],
    [
      "a newer format",
      (folder) => {
        const path = `${folder}/manifest.json`;
        writeFileSync(
          path,
          readFileSync(path, "utf8").replace('"format_version": 2', '"format_version": 99'),
        );
      },
      /format 99 is newer/,
    ],
  ];
  for (const [name, harm, message] of damage) {
    test(`falls back loudly after ${name}`, () =>
      inFolder(async (root) => {
        await commitCheckpoint(realFiles, root, contents(1));
        await commitCheckpoint(realFiles, root, contents(2));
        harm(`${root}/step-000002`);
        const heard: string[] = [];
        const newest = await newestVerified(realFiles, root, "r1", (m) => heard.push(m));
        expect(newest?.folder.step).toBe(1);
        expect(heard.join("\n")).toMatch(message);
      }));
  }

  test("refuses to start over when no checkpoint is usable, and never takes another run's", () =>
    inFolder(async (root) => {
      expect(await newestVerified(realFiles, root, "r1", silent)).toBeNull();
      await commitCheckpoint(realFiles, root, contents(900, "other"));
      expect(newestVerified(realFiles, root, "r1", silent)).rejects.toThrow(/none of the 1/);
      await commitCheckpoint(realFiles, root, contents(3));
      expect((await newestVerified(realFiles, root, "r1", silent))?.folder.step).toBe(3);
    }));

  test("removes only temporary names of its own making", () =>
    inFolder(async (root) => {
      const ours = `step-000004.tmp-${crypto.randomUUID()}`;
      for (const name of [ours, "step-000005.tmp-mine", "notes.tmp", ".hidden"])
        writeFileSync(join(root, name), "x");
      expect(await removeTemporary(realFiles, root)).toEqual([ours]);
      expect(readdirSync(root).sort()).toEqual([".hidden", "notes.tmp", "step-000005.tmp-mine"]);
    }));
});

describe("retention", () => {
  test("keeps by number, spares permanent, protected, foreign and damaged ones", () =>
    inFolder(async (root) => {
      for (const step of [2, 9, 10, 100, 1000])
        await commitCheckpoint(realFiles, root, contents(step));
      await commitCheckpoint(realFiles, root, contents(5, "r1", true));
      await commitCheckpoint(realFiles, root, contents(6, "other"));
      await commitCheckpoint(realFiles, root, contents(7));
      rmSync(`${root}/step-000007/manifest.json`);
      const rule = { runId: "r1", keep: 2, protect: new Set(["step-000009"]) };
      expect(await applyRetention(realFiles, root, rule)).toEqual(["step-000002", "step-000010"]);
      const left = (await listCheckpoints(realFiles, root)).map((folder) => folder.step);
      expect(left).toEqual([5, 6, 7, 9, 100, 1000]);
    }));

  test("never keeps fewer than two", () =>
    inFolder(async (root) => {
      for (const step of [1, 2, 3]) await commitCheckpoint(realFiles, root, contents(step));
      const rule = { runId: "r1", keep: 0, protect: new Set<string>() };
      expect(await applyRetention(realFiles, root, rule)).toEqual(["step-000001"]);
    }));
});
