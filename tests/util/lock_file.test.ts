/** @file Locks that are files: of many that want one, one gets it, also where a dead owner left it behind. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockFileState, takeLockFile } from "../../src/util/lock_file.ts";

const folder = mkdtempSync(join(tmpdir(), "theseus-lock-"));
afterAll(() => rmSync(folder, { recursive: true }));

const MODULE = join(import.meta.dir, "../../src/util/lock_file.ts");

/** Waits for the moment that it is told, tries once, and holds what it got until its stdin ends. */
const CHILD = `
import { takeLockFile } from ${JSON.stringify(MODULE)};
const [path, at] = process.argv.slice(-2);
console.log("ready");
while (Date.now() < Number(at)) {}
console.log(takeLockFile(path) === null ? "no" : "yes");
for await (const _ of process.stdin) {}
`;

async function winners(path: string, count: number): Promise<number> {
  const script = join(folder, "child.ts");
  writeFileSync(script, CHILD);
  const at = String(Date.now() + 1500);
  const children = Array.from({ length: count }, () =>
    Bun.spawn([process.execPath, script, path, at], { stdin: "pipe", stdout: "pipe" }),
  );
  const answers = await Promise.all(
    children.map(async ({ stdout, stdin, exited }) => {
      let text = "";
      for await (const part of stdout) {
        text += new TextDecoder().decode(part);
        if (/yes|no/.test(text)) break;
      }
      const end = (): Promise<number> => {
        stdin.end();
        return exited;
      };
      return { yes: text.includes("yes"), end };
    }),
  );
  await Promise.all(answers.map(({ end }) => end()));
  return answers.filter(({ yes }) => yes).length;
}

test("twelve processes at once: one wins, and again when that one is gone", async () => {
  const path = join(folder, "lock");
  expect(await winners(path, 12)).toBe(1);
  expect(lockFileState(path)).toBe("dead");
  expect(await winners(path, 12)).toBe(1);
  expect(lockFileState(path)).toBe("dead");
  const release = takeLockFile(path);
  expect(release).not.toBeNull();
  expect(takeLockFile(path)).toBeNull();
  release?.();
  expect(lockFileState(path)).toBe("free");
  expect(readdirSync(folder)).toEqual(["child.ts"]);
}, 60_000);

test("a takeover that was cut short does not keep others out", () => {
  const path = join(folder, "cut");
  const dead = { host: "", pid: 1, started: "never", nonce: "n" };
  const owner = JSON.parse(
    (() => {
      const release = takeLockFile(path);
      const text = readFileSync(path, "utf8");
      release?.();
      return text;
    })(),
  ) as typeof dead;
  const gone = { ...owner, started: "0", nonce: "first" };
  writeFileSync(path, JSON.stringify(gone));
  writeFileSync(`${path}.over-first`, JSON.stringify({ ...gone, nonce: "second" }));
  const release = takeLockFile(path);
  expect(release).not.toBeNull();
  release?.();
  // A lock that names nobody, as a full disk may leave it, is held: nobody can tell.
  writeFileSync(path, "");
  expect(takeLockFile(path)).toBeNull();
});
