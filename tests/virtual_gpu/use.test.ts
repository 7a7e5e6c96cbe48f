/** @file Trained models in use on the virtual GPU: the CPU's tokens and likelihoods, through every door that leads to a device. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openJudged } from "../../src/jobs/open_judged.ts";
import { sampleTexts } from "../../src/jobs/sample_run.ts";
import { quick } from "../../src/quick.ts";
import { SMALL_CONFIG, Workplace } from "../cli/command_line.ts";
import { FIXTURE } from "../evaluate/fixture.ts";
import { DRIVER, useVirtualGpu } from "./virtual_gpu.ts";

setDefaultTimeout(60_000);
const place = new Workplace();
const llama = join(FIXTURE, "model");
const colours = join(FIXTURE, "tasks/colours.yaml");
const before = process.env.THESEUS_CUDA_DRIVER;
const train = ["run", "first", "run.yaml", ".", "training.precision=f32"];

useVirtualGpu();
beforeAll(async () => {
  process.env.THESEUS_CUDA_DRIVER = DRIVER;
  place.file("run.yaml", SMALL_CONFIG);
  const tasks = [`evaluation.tasks=[${colours}]`, "evaluation.limit=2"];
  const { stderr } = await place.run([...train, "training.device=cuda", ...tasks]);
  expect(stderr).toMatch(/step 12 {2}colours\/exact_match/);
}, 60_000);
afterAll(() => {
  if (before === undefined) delete process.env.THESEUS_CUDA_DRIVER;
  else process.env.THESEUS_CUDA_DRIVER = before;
  place.remove();
});

const run = () => join(place.path, "runs/general/default/first");

test.each([
  ["llama", () => llama],
  ["a run", run],
])(
  "%s: the CPU's tokens, greedy and drawn, and in the middle of others",
  async (_, folder) => {
    const texts = async (device: string, temperature: number) =>
      await sampleTexts({
        ...{ runDirectory: folder(), device, temperature, topK: 0, seed: 1, maxTokens: 24 },
        prompts: ["The sky is", "a", "one two three four five"],
        ...{ answers: 2, batch: 4, precision: "f32" as const },
      });
    for (const temperature of [0, 1])
      expect(await texts("cuda", temperature)).toEqual(await texts("cpu", temperature));
  },
  60_000,
);

/** A GPU reads bf16 in products where no run says otherwise; of a token's likelihood, measured: 3e-3. */
const MIXED = 2e-2;

test("likelihoods within tolerance", async () => {
  const requests = ["blue", " green and red", "!"].map((continuation) => ({
    ...{ kind: "likelihood" as const, context: "The sky is", continuation },
  }));
  const judge = async (device: string) => {
    const { judged, close } = await openJudged({ runDirectory: llama, weights: llama, device });
    const found = await judged.likelihoods([
      ...requests,
      {
        kind: "likelihood",
        context: null,
        continuation: "a whole text, longer than a row ".repeat(9),
      },
    ]);
    close();
    return found;
  };
  const [gpu, cpu] = [await judge("cuda:0"), await judge("cpu")];
  gpu.forEach(({ logprob, greedy, tokens }, i) => {
    const wanted = cpu[i] ?? { logprob: Number.NaN, greedy, tokens };
    expect(Math.abs(logprob - wanted.logprob)).toBeLessThan(MIXED * tokens);
    expect(greedy).toBe(wanted.greedy);
  });
});

test("the commands take --device", async () => {
  const text = place.file("text.txt", "The people of the United States");
  const json = async (...words: string[]) => {
    const { code, stdout, stderr } = await place.run([...words, "--json"]);
    expect(stderr).not.toContain("error");
    expect(code).toBe(0);
    return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
  };
  const score = (device: string) => json("score", "first", text, "--root", ".", "--device", device);
  const [gpu, cpu] = await Promise.all([score("cuda"), score("cpu")]);
  expect(Math.abs(gpu.loss - cpu.loss)).toBeLessThan(1e-5);
  const sample = (device: string) => {
    const how = ["--tokens", "8", "--temperature", "0", "--device", device];
    return json("sample", "first", "The", "--root", ".", ...how);
  };
  const [onGpu, onCpu] = await Promise.all([sample("cuda"), sample("cpu")]);
  expect(onGpu.text).toBe(onCpu.text);
  const judged = ["eval", "first", "--tasks", colours, "--limit", "2", "--root", ".", "--no-cache"];
  expect((await json(...judged, "--device", "cuda")).results.colours).toBeDefined();
  const wrong = await place.run(["chat", "first", "--device", "gpu", "--root", "."]);
  expect(wrong.code).toBe(2);
  expect(wrong.stderr).toContain('expected run, auto, cpu, cuda or cuda:N, got "gpu"');
}, 60_000);

test("a GPU without room: auto takes the CPU, and who asked for it hears what to do", async () => {
  const full = { THESEUS_VGPU_MEMORY: "1000000", THESEUS_VGPU_TAKEN: "100000" };
  const sample = (...how: string[]) =>
    place.run(["sample", "first", "a", "--tokens", "1", "--root", ".", ...how], full);
  const auto = await sample();
  expect(auto.code).toBe(0);
  expect(auto.stderr).toMatch(/warning: using the CPU: \d+ bytes do not fit into GPU 0/);
  const asked = await sample("--device", "cuda");
  expect(asked.code).toBe(3);
  expect(asked.stderr).toMatch(/^error: \d+ bytes do not fit into GPU 0 .*\nhint: a smaller batch/);
});

test("auto says which GPU it took; a run that was told to use the CPU stays there", async () => {
  const auto = await place.run(["sample", "first", "a", "--tokens", "1", "--root", "."]);
  expect(auto.stderr).toContain("device: GPU 0, virtual GPU");
  const config = join(run(), "config.resolved.yaml");
  const text = readFileSync(config, "utf8").replace(/device: cuda/, "device: cpu");
  place.file("runs/general/default/cpu/config.resolved.yaml", text);
  place.file("runs/general/default/cpu/run.json", "{}");
  place.file(
    "runs/general/default/cpu/model.safetensors",
    readFileSync(join(run(), "model.safetensors")),
  );
  const own = await place.run(["sample", "cpu", "a", "--tokens", "1", "--root", "."]);
  expect(own.stderr).toBe("");
});

test("a server whose GPU dies answers with an error and ends", async () => {
  const words = ["serve", "first", "--root", ".", "--port", "0", "--json", "--device", "cuda"];
  const child = place.start(words, { THESEUS_VGPU_FAIL_LAUNCH: "60" });
  const reader = child.stdout.getReader();
  const line = async () => JSON.parse(new TextDecoder().decode((await reader.read()).value));
  const { url } = await line();
  const ask = () =>
    fetch(`${url}/completions`, {
      ...{ method: "POST", headers: { "content-type": "application/json" } },
      body: JSON.stringify({ model: "first", prompt: "The", max_tokens: 20, temperature: 0 }),
    });
  const answer = await ask();
  expect(answer.status).toBe(500);
  const { error } = (await answer.json()) as { error: { message: string } };
  expect(error.message).toMatch(/^program \w+ failed on GPU 0 /);
  expect(await child.exited).toBe(3);
  expect((await line()).error.message).toMatch(/^program \w+ failed on GPU 0 .*ILLEGAL_ADDRESS/);
}, 60_000);

test("the Quick API trains, validates and samples there", async () => {
  const name = "quick";
  await using quickRun = await quick("gpt/pretrain", {
    root: place.path,
    name,
    from: "gpt/tiny-sotu",
  });
  const { architecture, training, validation } = quickRun.config;
  Object.assign(architecture, { n_layer: 1, n_head: 2, n_embd: 32, block_size: 32 });
  Object.assign(training, { steps: 2, per_device_batch_size: 2, device: "cuda" });
  validation.batches = 1;
  for await (const { step } of quickRun) {
    if (step !== 1) continue;
    expect((await quickRun.validate()).loss).toBeLessThan(7);
    expect((await quickRun.sample("The", { maxTokens: 4 })).length).toBeGreaterThan(0);
  }
  expect(quickRun.result?.reason).toBe("finished");
  expect((await quickRun.validate()).loss).toBeCloseTo(quickRun.result?.valLoss ?? Number.NaN, 5);
}, 60_000);
