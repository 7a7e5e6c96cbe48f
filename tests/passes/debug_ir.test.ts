/** @file With DEBUG_IR=1 every graph is checked between passes; a test of its own sees that sound graphs pass, op by op and in models. */
import { expect, test } from "bun:test";
import { join } from "node:path";

const root = join(import.meta.dir, "../..");
const FILES = [
  "tests/ops/kernels.test.ts",
  "tests/passes/memory_use.test.ts",
  "tests/models/gpt.test.ts",
];

test("the verifier has nothing to say about sound graphs", async () => {
  const child = Bun.spawn([process.execPath, "test", "--timeout", "60000", ...FILES], {
    cwd: root,
    env: { ...process.env, DEBUG_IR: "1" },
    ...{ stdout: "ignore", stderr: "pipe" },
  });
  const said = await new Response(child.stderr).text();
  expect(said.split("\n").filter((line) => /^\(fail\)|^internal:|^error:/.test(line))).toEqual([]);
  expect(said).toMatch(/^ *[1-9]\d* pass$/m);
  expect(await child.exited).toBe(0);
}, 120_000);
