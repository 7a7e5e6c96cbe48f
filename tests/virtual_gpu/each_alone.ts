/**
 * @file Test files of this folder one after the other, each in a process of its own, then every test that failed alone: a kernel that breaks the
 * GPU's context takes all tests of its process with it, and the first hour on a GPU must say which one it was. Prints a line of
 * JSON a file.
 *
 *     bun tests/virtual_gpu/each_alone.ts [--seconds 540] [--pattern REGEX] FILE...
 */
import { join } from "node:path";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "540" },
    pattern: { type: "string" },
  },
});
const end = performance.now() + Number(values.seconds) * 1e3;
/** Of a test alone. */
const ALONE_MS = 60_000;

interface Outcome {
  readonly passed: number;
  /** Names of tests, a pair of a group and a test where it is in one. */
  readonly failed: readonly string[];
  readonly ok: boolean;
  readonly seconds: number;
}

function run(file: string, pattern: string | undefined, most = Number.POSITIVE_INFINITY): Outcome {
  const begin = performance.now();
  const only = pattern === undefined ? [] : ["-t", pattern];
  const timeout = Math.max(1, Math.round(Math.min(most, end - begin)));
  const { stdout, stderr, exitCode } = Bun.spawnSync(
    [process.execPath, "test", "--timeout", "60000", join(import.meta.dir, file), ...only],
    { stdout: "pipe", stderr: "pipe", timeout, killSignal: "SIGKILL" },
  );
  const said = `${stdout}${stderr}`;
  process.stdout.write(said);
  const failed = Array.from(
    said.matchAll(/^\(fail\) (.*?)(?: \[[\d.]+m?s\])?$/gm),
    ([, name]) => name,
  );
  const passed = Number(/^ *(\d+) pass$/m.exec(said)?.[1] ?? 0);
  const names = [...new Set(failed.filter((name) => name !== undefined))];
  const seconds = Math.round((performance.now() - begin) / 100) / 10;
  return { passed, failed: names, ok: exitCode === 0, seconds };
}

/** Tests of one op share what stands before the colon. */
const groupOf = (name: string): string => (name.split(" > ").at(-1) ?? name).split(": ")[0] ?? name;

function alone(
  file: string,
  failed: readonly string[],
): Record<string, "pass" | "fail" | "not run"> {
  const out: Record<string, "pass" | "fail" | "not run"> = {};
  for (const group of new Set(failed.map(groupOf))) {
    if (performance.now() + 2e3 > end) {
      out[group] = "not run";
      continue;
    }
    const { ok, passed } = run(file, `(^| )${RegExp.escape(group)}(:|$)`, ALONE_MS);
    out[group] = ok && passed > 0 ? "pass" : "fail";
  }
  return out;
}

let failures = 0;
for (const file of positionals) {
  const { passed, failed, ok, seconds } = run(file, values.pattern);
  if (!ok) failures++;
  const more = failed.length > 0 ? { alone: alone(file, failed) } : {};
  console.log(JSON.stringify({ file, ok, passed, failed: failed.length, seconds, ...more }));
}
process.exit(failures === 0 && positionals.length > 0 ? 0 : 1);
