/** @file The types of the Quick API: what must compile does, and each mistake is an error on its line and nowhere else. */
import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import { userFolder } from "./diagnostics.ts";

const source = join(import.meta.dir, "../../src");
const folder = userFolder(
  ["valibot", "yaml", "citty", "consola"],
  {
    paths: { theseus: [join(source, "index.ts")] },
    ...{ allowImportingTsExtensions: true, resolveJsonModule: true, skipLibCheck: true },
  },
  [join(source, "assets.d.ts")],
);
afterAll(() => folder.remove());

const GOOD = `
import { field, Gpt, gptOptions, int, job, quick, type StepMetrics } from "theseus";

class Mine extends Gpt {
  static override readonly config = {
    ...Gpt.config,
    extra: field("architecture/extra", int(), 1, "one more"),
  };
}
const mine = job({
  name: "example/mine",
  doc: "mine",
  uses: [Mine],
  model: (config) => new Mine(gptOptions(config)),
});

const run = await quick("gpt/pretrain", { root: "out", name: "x" });
run.config.training.per_device_batch_size = 16;
run.config.training.schedule = "cosine";
run.config.training.grad_clip = null;
run.config.training.betas = [0.9, 0.99];
run.config.architecture = { ...run.config.architecture, n_layer: 2 };
const rows: number = run.config.training.per_device_batch_size;
for await (const step of run) {
  const metrics: StepMetrics = step;
  const loss: number | undefined = metrics.val_loss;
  console.log(rows, loss);
}
const text: string = await run.sample("a", { temperature: 0.5 });
const { bitsPerByte }: { bitsPerByte: number } = await run.validate();
await run.save("run.yaml", { chip: "h100", chips: 8 });

const own = await quick(mine, { name: "own" });
own.config.architecture.extra = 3;
own.config.job = "example/mine";
const name: string = ["gpt", "pretrain"].join("/");
const any = await quick(name, { name: "any" });
any.config.training.steps = 3;
console.log(text, bitsPerByte);
`;

/** A statement and what tsc says about it. */
const BAD: [string, string][] = [
  [
    'run.config.training.steps = "5";',
    "error TS2322: Type 'string' is not assignable to type 'number'.",
  ],
  ["run.config.training.stps = 5;", "error TS2551: Property 'stps' does not exist"],
  ["run.config.trainin.steps = 5;", "error TS2551: Property 'trainin' does not exist"],
  [
    'run.config.training.schedule = "linear";',
    `error TS2322: Type '"linear"' is not assignable to type '"constant" | "cosine" | "wsd"'.`,
  ],
  ["run.config.training.betas[0] = 1;", "error TS2542: Index signature"],
  [
    "run.config.training.steps = null;",
    "error TS2322: Type 'null' is not assignable to type 'number'.",
  ],
  ["run.config.training = { steps: 5 };", "error TS2740: Type '{ steps: number; }' is missing"],
  ["own.config.architecture.extra = true;", "error TS2322: Type 'boolean' is not assignable"],
  ["run.config.architecture.extra = 1;", "error TS2339: Property 'extra' does not exist"],
  ['await quick("gpt/pretrain", { root: "out" });', "error TS2769: No overload matches"],
  ["for await (const step of run) step.lss;", "error TS2551: Property 'lss' does not exist"],
  ["await run.sample(5);", "error TS2345: Argument of type 'number' is not assignable"],
  ['await run.save("x", { chips: "8" });', "error TS2322: Type 'string' is not assignable"],
];

test("what is right compiles, each mistake is found", async () => {
  folder.write("good.ts", GOOD);
  const bad = BAD.map(([statement]) => statement).join("\n");
  folder.write("bad.ts", `${GOOD}export {};\n${bad}\n`);
  const first = `${GOOD}export {};\n`.split("\n").length;
  const found = await folder.check();
  BAD.forEach(([statement, message], i) => {
    const place = `bad.ts(${first + i},`;
    expect([statement, ...found.filter((line) => line.startsWith(place))]).toEqual([
      statement,
      expect.stringContaining(message),
    ]);
  });
  expect(found.filter((line) => !line.startsWith("bad.ts"))).toEqual([]);
  expect(found).toHaveLength(BAD.length);
}, 60_000);
