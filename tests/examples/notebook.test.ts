/** @file The notebook: its code is Python, and where numpy, safetensors and matplotlib are installed it reads real runs. */
import { afterAll, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { QuickRoot } from "../quick/small_run.ts";
import { example, run } from "./programs.ts";

interface Cell {
  readonly cell_type: "markdown" | "code";
  readonly source: readonly string[];
  readonly outputs?: readonly unknown[];
}

const notebook: { nbformat: number; cells: readonly Cell[] } = JSON.parse(
  readFileSync(example("notebook/read_runs.ipynb"), "utf8"),
);
const cells = notebook.cells.filter(({ cell_type }) => cell_type === "code");
const code = cells.map(({ source }) => source.join("")).join("\n\n");

const root = new QuickRoot();
afterAll(() => root.remove());
const python = process.env.THESEUS_PYTHON ?? "python3";
const packages = await run([python, "-c", "import numpy, safetensors, matplotlib"]);

test("it is a notebook without outputs, and its code is Python", async () => {
  expect(notebook.nbformat).toBe(4);
  expect(cells.flatMap(({ outputs }) => outputs ?? ["none"])).toEqual([]);
  const check = "import sys; compile(open(sys.argv[1]).read(), 'notebook', 'exec')";
  const file = join(root.path, "notebook.py");
  writeFileSync(file, code);
  expect(await run([python, "-c", check, file])).toEqual({ code: 0, stdout: "", stderr: "" });
});

// Reported as skipped where the packages are missing; THESEUS_PYTHON names a Python that has them.
test.if(packages.code === 0)(
  "it reads metrics and weights of runs",
  async () => {
    const runs = await Promise.all([root.run("first"), root.run("second")]);
    for (const each of runs) await each.train();
    const file = join(root.path, "notebook.py");
    writeFileSync(file, `import matplotlib\nmatplotlib.use("Agg")\n${code}`);
    const { code: exit, stdout } = await run(["env", `THESEUS_ROOT=${root.path}`, python, file]);
    expect(exit).toBe(0);
    expect(stdout).toContain("general/default/first: gpt/pretrain, theseus ");
    expect(stdout).toMatch(/general\/default\/second: step 6, loss \d\.\d{4}, 1536 tokens/);
    expect(stdout).toMatch(/^wte\.weight +\(256, 32\)/m);
  },
  120_000,
);
