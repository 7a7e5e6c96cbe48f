/** @file The npm archive: its declarations check users' code without our sources, and it trains where it is installed. */
import { afterAll, expect, test } from "bun:test";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { $ } from "bun";
import pack from "../../package.json" with { type: "json" };
import { userFolder } from "./diagnostics.ts";

const repository = join(import.meta.dir, "../..");
const folder = userFolder(Object.keys(pack.dependencies), { skipLibCheck: false });
afterAll(() => folder.remove());

const run = async (...args: string[]) => {
  const { exitCode, stdout, stderr } = await $`${process.execPath} ${args}`
    .cwd(folder.path)
    .nothrow()
    .quiet();
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
};

test("the archive checks, trains and brings the command", async () => {
  const out = join(folder.path, "packed");
  const packed = await run(join(repository, "scripts/package.ts"), out);
  expect([packed.exitCode, packed.stderr]).toEqual([0, ""]);
  await $`tar xzf ${out}/theseus-${pack.version}.tgz -C ${folder.path}/node_modules`;
  await $`mv package theseus`.cwd(join(folder.path, "node_modules"));
  for (const example of ["quick_train", "custom_attention", "sweep"])
    cpSync(join(repository, `examples/${example}.ts`), join(folder.path, `${example}.ts`));
  folder.write(
    "wrong.ts",
    'import { quick } from "theseus";\n' +
      'const run = await quick("gpt/pretrain", { name: "x" });\n' +
      'run.config.training.steps = "many";\n',
  );
  expect(await folder.check()).toEqual([
    "wrong.ts(3,1): error TS2322: Type 'string' is not assignable to type 'number'.",
  ]);

  const trained = await run("quick_train.ts", "out", "4");
  expect([trained.exitCode, trained.stderr]).toEqual([0, ""]);
  expect(trained.stdout).toContain("held-out loss");
  const metrics = readFileSync(
    join(folder.path, "out/runs/general/default/quick/metrics.jsonl"),
    "utf8",
  );
  expect(metrics.trimEnd().split("\n")).toHaveLength(4);

  const command = "node_modules/theseus/bin/theseus.ts";
  const jobs = await run(command, "jobs", "--load", "custom_attention.ts");
  expect([jobs.exitCode, jobs.stderr]).toEqual([0, ""]);
  expect(jobs.stdout).toContain("example/sigmoid-attention");
}, 120_000);
