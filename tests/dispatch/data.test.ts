/**
 * @file What a run reads, on the host before anything is queued: copied by its content, fetched there from the hub, or there already;
 * weights, tasks and tokenizers as data. This machine is the host, so that only what says so needs root.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { readMetrics } from "../../src/train/metrics_reader.ts";
import { COMMIT, FakeHub } from "../data/hub/fake_hub.ts";
import { hasCluster } from "./available.ts";
import { CLUSTER, Client } from "./client.ts";

setDefaultTimeout(180_000);

const HOSTS = `${CLUSTER}  two: { root: ~/two, work: ~/work }
hosts:
  home: { type: local, cluster: two }
  here:
    type: local
    cluster: one
    setup: ['[ -z "\${run_dir:-}" ] || [ ! -e FOLDER/spoil ] || rm -rf FOLDER/hub']
`;
const FIXTURE = join(import.meta.dir, "../fixtures/evaluation");
const bytes = (path: string) => ({ content: new Uint8Array(readFileSync(join(FIXTURE, path))) });

let client: Client;
let hub: FakeHub;
let hubArgs: string[];
beforeAll(() => {
  client = new Client(HOSTS);
  const folder = readdirSync(join(FIXTURE, "model")).map((name) => [name, bytes(`model/${name}`)]);
  const lines = Array.from({ length: 200 }, (_, i) => `{"text":"the ${i}th of the people"}\n`);
  const text = new TextEncoder().encode(lines.join(""));
  const tasks = ["yes_no", "labelled_shots"].map((name) => join(FIXTURE, "tasks", `${name}.yaml`));
  client.file(
    "judge.yaml",
    `job: eval/run\nevaluation: { model: ${FIXTURE}/model, tasks: [${tasks}], limit: 5 }\n`,
  );
  hub = new FakeHub({
    "models/org/model": { commit: COMMIT, files: Object.fromEntries(folder) },
    "datasets/org/text": { commit: COMMIT, files: { "data/train-0.jsonl": { content: text } } },
  });
  const variables = [`HF_ENDPOINT=${hub.endpoint}`, `HF_HOME=${client.folder}/hub`];
  hubArgs = variables.flatMap((each) => ["--env", each]);
});
afterAll(() => {
  client.stop();
  hub.stop();
});

const said = async (args: readonly string[], env: Readonly<Record<string, string>> = {}) => {
  const { code, stdout, stderr } = await client.run(args, env);
  return `${code} ${stdout}${stderr}`;
};
const submit = (name: string, config: string, ...more: string[]): string[] => [
  ...["submit", name, config, "--host", "here"],
  ...more,
];
const metrics = (directory: string): unknown[] =>
  readMetrics(join(directory, "metrics.jsonl")).map(({ step, loss, val_loss }) => [
    ...[step, loss, val_loss],
  ]);
const submitted = (name: string): string =>
  readFileSync(join(client.directory(name), "submit/config.yaml"), "utf8");
const locally = (name: string): string => join(client.folder, "here/runs/general/default", name);

describe("copied", () => {
  test.concurrent("missing data is told before anything is queued; it is copied once, and the run reads it there", async () => {
    client.file("text.txt", "The quick brown fox jumps over the lazy dog.\n".repeat(400));
    const args = ["small.yaml", "data.text=text.txt"] as const;
    const missing = await said(submit("data", ...args));
    expect(missing).toStartWith("3 error: data is missing on here:\n  data.text: ");
    expect(missing).toContain("hint: --ship-data copies what is here; nothing was submitted");
    const none = await said(submit("data", "small.yaml", "data.tokens=no/such", "--ship-data"));
    expect(none).toStartWith(
      "3 error: data is missing on here:\n  data.tokens: no/such, neither here nor there",
    );
    expect(existsSync(client.directory("data"))).toBe(false);
    const home = ["submit", "data", ...args, "--host", "home", "--dry-run"];
    const shown = await client.expect(home, { HOME: client.folder });
    expect(shown).toMatch(/data\.text +\S+ \(\S+ KiB\) -> \S+\/two\/data\/by-content\/.*: missing/);
    expect(shown).toContain(`-> ${join(client.folder, "work", "bin", "theseus-")}`);
    expect(shown.split("\n\n")[0]).not.toContain("~");
    const first = await client.run(submit("data", ...args, "--ship-data"));
    expect(first).toMatchObject({ code: 0, stderr: expect.stringContaining("copying text.txt") });
    await client.ended("data");
    expect(submitted("data")).toMatch(/text: .*\/data\/by-content\/[0-9a-f]{16}\/text.txt/);
    const again = await client.run(submit("data2", ...args));
    expect(again).toMatchObject({ code: 0, stderr: expect.not.stringContaining("copying") });
    await client.ended("data2");
    await client.expect(["run", "data", ...args]);
    expect(metrics(client.directory("data2"))).toEqual(metrics(locally("data")));
  });

  test.concurrent("a thousand files and patterns of names: in few calls, the same folder of tokens as here", async () => {
    for (let i = 0; i < 1000; i++)
      client.file(`corpus/${i % 7}/${i}.txt`, `${i} is the number of this text.\n`.repeat(3));
    client.file("corpus/other.bin", "not read");
    for (const name of ["a\\b", "it's", "1 2"]) client.file(`more/[x]/${name}.txt`, `${name}\n`);
    client.file(
      "tokenize.yaml",
      [
        "job: data/tokenize",
        "source: { files: [corpus, 'more/*/*.txt'] }",
        "tokens: { tokenizer: bytes, validation_fraction: 0.1, workers: 1 }\n",
      ].join("\n"),
    );
    const dry = await client.expect(submit("many", "tokenize.yaml", "--ship-data", "--dry-run"));
    expect(dry).toMatch(/source\.files +\S*\/corpus \(\S+ \S+\) -> \S+: would be copied/);
    const twice = "source.files=[corpus, corpus/1]";
    expect(await said(submit("many", "tokenize.yaml", twice))).toMatch(
      /^2 .*corpus\/1\/\d+\.txt is named twice: by corpus and by corpus\/1/s,
    );
    await client.expect(submit("many", "tokenize.yaml", "--ship-data"));
    await client.ended("many");
    const copied = readdirSync(join(client.root, "data/by-content"), { recursive: true });
    expect(copied.filter((name) => String(name).endsWith(".txt")).length).toBeGreaterThan(1000);
    expect(copied.filter((name) => /other\.bin|\.part-/.test(String(name)))).toEqual([]);
    await client.expect(["run", "many", "tokenize.yaml"]);
    const shards = (root: string): string[] =>
      readdirSync(join(root, "data/many"))
        .filter((name) => name !== "index.json")
        .sort()
        .map((name) => `${name} ${Bun.hash(readFileSync(join(root, "data/many", name)))}`);
    expect(shards(client.root)).toEqual(shards(join(client.folder, "here")));

    // What lies below ROOT of the host is named as it would be below ROOT here.
    renameSync(join(client.folder, "here/data/many"), join(client.folder, "moved"));
    const there = "data.tokens=here/data/many";
    await client.expect(submit("named", "small.yaml", there));
    expect(submitted("named")).toContain(`tokens: ${client.root}/data/many`);
    await client.ended("named");
  });

  test.concurrent("starting weights: a run of here by its content, a run of the host by its name", async () => {
    await client.expect([
      "run",
      "first",
      "small.yaml",
      "training.steps=10",
      "architecture.block_size=64",
    ]);
    const begin = [
      ...(["small.yaml", "--init-from", "first@best"] as const),
      ...["training.seed=3", "architecture.block_size=64"],
    ] as const;
    expect(await said(submit("second", ...begin))).toStartWith(
      "3 error: data is missing on here:\n  --init-from: ",
    );
    await client.expect(submit("second", ...begin, "--ship-data"));
    await client.ended("second");
    await client.expect(["run", "second", ...begin]);
    expect(metrics(client.directory("second"))).toEqual(metrics(locally("second")));
    rmSync(locally("second"), { recursive: true });
    await client.expect(
      submit("third", "small.yaml", "--init-from", "second", "architecture.block_size=64"),
    );
    await client.ended("third");
    expect(readFileSync(join(client.directory("third"), "events.jsonl"), "utf8")).toContain(
      `"from":"${client.directory("second")}/checkpoints/`,
    );
    expect(await said(submit("fourth", "small.yaml", "--init-from", "nobody"))).toStartWith(
      "3 error: data is missing on here:\n  --init-from: nobody, neither here nor there",
    );
  });

  test.concurrent("a model with its tokenizer, tasks with their data: judged there as here", async () => {
    await client.expect(submit("judge", "judge.yaml", "--ship-data"));
    await client.ended("judge");
    expect(submitted("judge")).not.toContain(FIXTURE);
    await client.expect(["run", "judge", "judge.yaml"]);
    const results = (directory: string) =>
      JSON.parse(readFileSync(join(directory, "results.json"), "utf8")).results;
    expect(results(client.directory("judge"))).toEqual(results(locally("judge")));
    // A run of here, whose family Hugging Face does not know.
    await client.expect(["run", "judged", "small.yaml", "architecture.block_size=64"]);
    const own = ["judge.yaml", "evaluation.model=judged", "--ship-data"];
    await client.expect(submit("own", ...(own as [string, ...string[]])));
    await client.ended("own");
  });

  test.concurrent("training on: from a run of here; a folder of tokens brings its tokenizer", async () => {
    const size = "training: { steps: 4, per_device_batch_size: 2, warmup_steps: 1, threads: 1 }";
    client.file("tune.yaml", `job: llama/finetune\nmodel: { from: ${FIXTURE}/model }\n${size}\n`);
    await client.expect(["run", "tuned", "tune.yaml"]);
    const on = ["tune.yaml", "model.from=tuned", "training.seed=2"] as const;
    await client.expect(submit("on", ...on, "--ship-data"));
    expect(submitted("on")).toMatch(/from: .*\/data\/by-content\/[0-9a-f]{16}\/step-000004/);
    await client.ended("on");
    const files = readdirSync(/from: (.*)/.exec(submitted("on"))?.[1] ?? "").sort();
    expect(files).toEqual([
      ...["config.json", "generation_config.json", "model.safetensors"],
      ...["tokenizer.json", "tokenizer_config.json"],
    ]);
    await client.expect(["run", "on", ...on]);
    expect(metrics(client.directory("on"))).toEqual(metrics(locally("on")));

    const texts = Array.from(
      { length: 300 },
      (_, i) => `{"text":"the river ran over ${i} stones"}\n`,
    );
    client.file("lines.jsonl", texts.join(""));
    const tokens = `tokens: { tokenizer: ${FIXTURE}/model, validation_fraction: 0.1, workers: 1 }`;
    client.file("lines.yaml", `job: data/tokenize\nsource: { files: [lines.jsonl] }\n${tokens}\n`);
    await client.expect(["run", "lines", "lines.yaml"]);
    const vocabulary = "architecture.vocab_size=448";
    const lines = ["small.yaml", "data.tokens=here/data/lines", vocabulary] as const;
    await client.expect(submit("told", ...lines, "--ship-data"));
    expect(submitted("told")).toMatch(/tokenizer: .*\/data\/by-content\/[0-9a-f]{16}\/model\n/);
    await client.ended("told");
  });
});

describe("fetched there", () => {
  test("by the host's own theseus before anything is queued; the job has no network and needs none", async () => {
    client.file(
      "web.yaml",
      "job: data/tokenize\nsource: { files: ['hf:org/text'] }\ntokens: { tokenizer: 'hf:org/model', workers: 1 }\n",
    );
    const args = submit("web", "web.yaml", ...hubArgs);
    const missing = await said(args);
    expect(missing).toStartWith("3 error: data is missing on here:\n");
    for (const each of ["source.files: hf:org/text", "tokens.tokenizer: hf:org/model"])
      expect(missing).toContain(`  ${each}, not in its Hugging Face cache\n`);
    expect(missing).toContain("hint: --fetch-data fetches there what the hub has");
    expect(hub.seen).toEqual([]);
    const dry = await client.expect([...args, "--fetch-data", "--dry-run"], {
      ...{ HF_ENDPOINT: hub.endpoint, HF_HOME: join(client.folder, "own"), HOME: client.folder },
    });
    const there = "-> Hugging Face cache: would be fetched there";
    expect(dry).toMatch(new RegExp(`source\\.files +hf:org/text \\(\\d\\.\\d+ KiB\\) ${there}`));
    expect(dry).toMatch(new RegExp(`tokens\\.tokenizer +hf:org/model \\(11\\.\\d KiB\\) ${there}`));
    expect(existsSync(join(client.folder, "own/hub/datasets--org--text/blobs"))).toBe(false);
    hub.seen.length = 0;
    expect(existsSync(client.directory("web"))).toBe(false);
    // Only the fetching has a network.
    const alone = hasCluster ? "unshare --net" : "";
    const plain = readFileSync(join(client.folder, "theseus"), "utf8");
    const lonely = plain.replace(
      "exec ",
      `case "$*" in *--fetch-only*) alone= ;; *) alone='${alone}' ;; esac\nexec $alone `,
    );
    const env = { THESEUS_BINARY: client.file("lonely", lonely, 0o755) };
    await client.expect([...args, "--fetch-data"], env);
    const asked = hub.seen.length;
    expect(asked).toBeGreaterThan(3);
    await client.ended("web");
    expect(client.log("web")).toContain("tokens to train on");

    const judge = ["evaluation.model=hf:org/model", "--ship-data", ...hubArgs];
    const whole = submit("hub-judge", "judge.yaml", ...judge);
    expect(await said(whole, env)).toContain("config.json of model org/model");
    expect(hub.seen.length).toBe(asked);
    await client.expect([...whole, "--fetch-data"], env);
    const all = hub.seen.length;
    await client.ended("hub-judge");

    // A part of it is gone: found out before anything is queued.
    const blobs = join(client.folder, "hub/hub/models--org--model/blobs");
    mkdirSync(join(client.folder, "kept"));
    renameSync(blobs, join(client.folder, "kept/blobs"));
    const later = submit("later", "judge.yaml", ...judge);
    expect(await said(later, env)).toMatch(
      /^3 .*data is missing on here: .* of model org\/model .*is not in the cache/s,
    );
    expect(existsSync(client.directory("later"))).toBe(false);
    expect(hub.seen.length).toBe(all);
    rmSync(join(client.folder, "kept"), { recursive: true });
  });

  test("a job that would have to fetch something ends, and asks nobody", async () => {
    const args = ["small.yaml", "data.tokenizer=hf:org/model", ...hubArgs] as const;
    const sent = submit("spoiled", ...args, "--fetch-data");
    client.file("spoil", "");
    await client.expect(sent);
    const asked = hub.seen.length;
    await client.ended("spoiled", "failed");
    const status = await client.status("spoiled");
    expect(status).toMatchObject({ state: "failed" });
    expect(`${status.reason}\n${status.log_tail.join("\n")}`).toContain("HF_HUB_OFFLINE is set");
    expect(hub.seen.length).toBe(asked);
    rmSync(join(client.folder, "spoil"));
  });

  test("a hub that does not have it, and one that is not there", async () => {
    const args = ["small.yaml", "data.tokenizer=hf:org/nothing", "--fetch-data"] as const;
    expect(await said(submit("none", ...args, ...hubArgs))).toMatch(
      /^3 .*data is missing on here: there is no model org\/nothing at http/s,
    );
    expect(existsSync(client.directory("none"))).toBe(false);
  });
});
