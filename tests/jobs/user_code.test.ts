/** @file Users' files: what they register is seen, and whatever is wrong in one is told in one message with its place. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folder = mkdtempSync(join(tmpdir(), "theseus-load-"));
const main = join(import.meta.dir, "../../src/main.ts");
afterAll(() => rmSync(folder, { recursive: true }));

async function theseus(...args: string[]) {
  const process = Bun.spawn([Bun.argv[0] ?? "bun", main, ...args], {
    ...{ cwd: folder, stdout: "pipe", stderr: "pipe" },
    env: { ...Bun.env, NO_COLOR: "1" },
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(process.stdout).text(),
    new Response(process.stderr).text(),
    process.exited,
  ]);
  return { code, stdout, stderr };
}

const JOB = (name: string) =>
  `job({ name: "${name}", doc: "d", uses: [Gpt], model: (c) => new Gpt(gptOptions(c)) });`;

const FILES: Record<string, string> = {
  "one.ts": `import { Gpt, gptOptions, job } from "theseus";\n${JOB("mine/one")}\n`,
  "two.ts": `import { Gpt, gptOptions, job } from "theseus";\n${JOB("mine/two")}\n`,
  "data.ts":
    'import { dataset } from "theseus";\n' +
    'const files = ["mine.jsonl"];\n' +
    'dataset({ name: "mine", doc: "my lines", kind: "text", files, textField: "words" });\n',
  "mine.jsonl": '{"words": "one two"}\n{"words": "three"}\n',
  "tokens.yaml":
    "job: data/tokenize\nsource: { dataset: mine }\n" +
    "tokens: { tokenizer: bytes, validation_fraction: 0, workers: 1 }\n",
  "helper.ts": "export const help: number = 3;\n",
  "syntax.ts": "const a = 1;\nconst b = {\n  c: 1,,\n};\n",
  "imports_syntax.ts": 'import "./syntax.ts";\n',
  "throws.ts":
    'interface A { b: number }\n\nfunction f(): never {\n  throw new Error("boom");\n}\nf();\n',
  "throws_later.ts": '\nawait Promise.reject(new TypeError("async boom"));\n',
  "throws_text.ts": 'throw "just text";\n',
  "no_export.ts":
    'import { job } from "theseus";\nimport { Modul } from "theseus";\nModul;\njob;\n',
  "no_own_export.ts": 'import { helpp } from "./helper.ts";\nhelpp;\n',
  "no_module.ts": '\n\nimport { x } from "./nowhere.ts";\nx;\n',
  "twice.ts": `import { Gpt, gptOptions, job } from "theseus";\n\n${JOB("gpt/pretrain")}\n`,
  "at_trace.ts":
    'import { Gpt, gptOptions, job, Module, type Tensor } from "theseus";\n' +
    "class Bad extends Module {\n  override forward(x: Tensor): Tensor {\n" +
    "    const sizes: { n?: { m: number } } = JSON.parse('{}');\n    return x.scale(sizes.n.m);\n  }\n}\n" +
    'job({ name: "mine/bad", doc: "d", uses: [Gpt],\n' +
    "  model: (c) => new Gpt(gptOptions(c), { attention: () => new Bad() }) });\n",
  "bad.yaml": "job: mine/bad\n",
  "setting.ts":
    'import { quick } from "theseus";\nconst run = await quick("gpt/pretrain", { name: "x" });\n' +
    'run.config.training.steps = "many";\n',
  "arguments.ts": "console.log(JSON.stringify(process.argv.slice(1)));\nprocess.exitCode = 9;\n",
};

beforeAll(() => {
  for (const [name, text] of Object.entries(FILES)) writeFileSync(join(folder, name), text);
  mkdirSync(join(folder, "node_modules/theseus"), { recursive: true });
  // An installed copy must not take the place of the modules that are running.
  writeFileSync(join(folder, "node_modules/theseus/index.js"), "export const job = 1;\n");
});

test("several files register their jobs, which configure then knows", async () => {
  const load = ["--load", "one.ts", "--load=two.ts"];
  const { stdout, code } = await theseus("jobs", ...load, "--json");
  expect(code).toBe(0);
  const names = JSON.parse(stdout).jobs.map(({ name }: { name: string }) => name);
  expect(names[0]).toBe("gpt/pretrain");
  expect(names.slice(-2)).toEqual(["mine/one", "mine/two"]);
  const written = await theseus("configure", ...load, "mine/two", "-");
  expect(written.code).toBe(0);
  expect(written.stdout).toContain("job: mine/two");
});

test("a job that was not loaded", async () => {
  writeFileSync(join(folder, "one.yaml"), "job: mine/one\n");
  const { code, stderr } = await theseus("plan", "one.yaml");
  expect(code).toBe(2);
  expect(stderr).toStartWith('error: no job is named "mine/one".\nhint: jobs: gpt/pretrain, ');
  expect(stderr).toEndWith("; --load FILE.ts brings your own\n");
});

const FAULTS: [string, string][] = [
  [
    "syntax.ts",
    'syntax.ts:3:8  Expected identifier but found ","\nsyntax.ts:4:2  Expected "}" but found ";"',
  ],
  [
    "imports_syntax.ts",
    'syntax.ts:3:8  Expected identifier but found ","\nsyntax.ts:4:2  Expected "}" but found ";"',
  ],
  ["throws.ts", "throws.ts:4:13  boom"],
  ["throws_later.ts", "throws_later.ts:2:26  TypeError: async boom"],
  ["throws_text.ts", "throws_text.ts  it threw just text"],
  [
    "no_export.ts",
    'no_export.ts:2  "theseus" exports nothing named "Modul". Did you mean "Module"?',
  ],
  ["no_own_export.ts", 'no_own_export.ts:1  "helper.ts" exports nothing named "helpp".'],
  ["no_module.ts", 'no_module.ts:3  there is no module "./nowhere.ts"'],
  ["gone.ts", "gone.ts  there is no file gone.ts"],
  [
    "twice.ts",
    'twice.ts:3:1  two jobs are named "gpt/pretrain"\n' +
      "hint: the name is taken by the program itself or by another --load file",
  ],
];

test.each(FAULTS)("%s", async (file, message) => {
  const { code, stdout, stderr } = await theseus("jobs", "--load", file);
  expect([code, stdout, stderr]).toEqual([2, "", `error: ${message}\n`]);
});

test("an error of users' code while the model is traced is theirs, too", async () => {
  const { code, stderr } = await theseus("plan", "bad.yaml", "--load", "at_trace.ts");
  expect(code).toBe(2);
  expect(stderr).toBe(
    "error: at_trace.ts:5:26  TypeError: undefined is not an object (evaluating 'sizes.n.m')\n",
  );
});

test("a script's mistakes have its lines", async () => {
  const { code, stderr } = await theseus("script", "setting.ts");
  expect([code, stderr]).toEqual([
    2,
    'error: setting.ts:3:12  training.steps  expected integer >= 1, got "many"\n',
  ]);
  expect(existsSync(join(folder, "theseus-out"))).toBe(false);
});

test("a script's arguments and exit code are its own", async () => {
  const args = ["5", "--json", "-h", "--load", "x", "a.b=1"];
  const { code, stdout, stderr } = await theseus("script", "arguments.ts", ...args);
  expect([code, stderr]).toEqual([9, ""]);
  expect(JSON.parse(stdout)).toEqual([join(folder, "arguments.ts"), ...args]);
});

test("the option is checked like any other", async () => {
  const messages: string[] = [];
  for (const args of [["jobs", "--load"], ["jobs", "--lod", "x.ts"], ["script"], ["script", "-x"]])
    messages.push((await theseus(...args)).stderr);
  expect(messages).toEqual([
    "error: option --load expects a value\n",
    'error: unknown option --lod. Did you mean "--load"?\n',
    "error: script expects FILE\n",
    "error: unknown option -x.\n",
  ]);
});

test("a dataset of the user's is there for the jobs that read it", async () => {
  const args = ["run", "words", "tokens.yaml", "out"];
  const without = await theseus(...args);
  expect(without.code).toBe(2);
  expect(without.stderr).toContain('no dataset is named "mine"');
  expect(await theseus(...args, "--load", "data.ts")).toMatchObject({ code: 0 });
  const index = JSON.parse(readFileSync(join(folder, "out/data/words/index.json"), "utf8"));
  expect(JSON.stringify(index)).toContain('"document_count":2');
}, 30_000);
