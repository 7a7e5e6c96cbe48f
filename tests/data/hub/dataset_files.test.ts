/** @file Which files a configuration and split mean, and a dataset of the hub from its name to tokens. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { chosenFiles, configsOf } from "../../../src/data/hub/dataset_files.ts";
import { UserError } from "../../../src/util/errors.ts";
import { Workplace } from "../../cli/command_line.ts";
import { COMMIT, FakeHub } from "./fake_hub.ts";

setDefaultTimeout(60_000);

const choose = (files: string[], readme: string, config?: string, split = "train") =>
  chosenFiles(files, configsOf(readme, "README.md"), {
    ...{ repo: "org/data", split },
    ...(config === undefined ? {} : { config }),
  });

function refused(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof UserError) return `${error.message} | ${error.hint}`;
    throw error;
  }
  throw new Error("expected a refusal");
}

const README = `---
license: mit
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
  - split: test
    path: ["data/test-*", "extra/test.jsonl"]
- config_name: sample-10BT
  data_files:
  - split: train
    path: sample/10BT/*
- config_name: loose
  data_files: loose/*
---
# Data`;

const FILES = [
  ...["README.md", ".gitattributes", "data/train-00001-of-00002.parquet"],
  ...["data/train-00000-of-00002.parquet", "data/test-00000-of-00001.parquet", "extra/test.jsonl"],
  ...["sample/10BT/000_00000.parquet", "sample/10BT/001_00000.parquet"],
  ...["loose/train.jsonl", "loose/valid.jsonl", "loose/notes.md"],
];

test("what the README says", () => {
  expect(choose(FILES, README)).toEqual([
    ...["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
  ]);
  expect(choose(FILES, README, undefined, "test")).toEqual([
    ...["data/test-00000-of-00001.parquet", "extra/test.jsonl"],
  ]);
  expect(choose(FILES, README, "sample-10BT").length).toBe(2);
  expect(choose(FILES, README, "loose", "validation")).toEqual(["loose/valid.jsonl"]);
  const unknown = refused(() => choose(FILES, README, "sample-10B"));
  expect(unknown).toContain('is named sample-10B. Did you mean "sample-10BT"?');
  expect(unknown).toContain("there are: default, sample-10BT, loose");
  expect(refused(() => choose(FILES, README, undefined, "dev"))).toContain(
    "there are: train, test",
  );
});

test("what names and folders say without one", () => {
  const files = ["plain_text/train-00000.parquet", "plain_text/test-00000.parquet", "x/a.jsonl"];
  expect(choose(files, "")).toEqual(["plain_text/train-00000.parquet"]);
  expect(choose(files, "", "plain_text", "test")).toEqual(["plain_text/test-00000.parquet"]);
  expect(choose(["b.jsonl", "a.jsonl.zst", "c.csv"], "")).toEqual(["a.jsonl.zst", "b.jsonl"]);
  expect(
    choose(["training_data/a.jsonl", "validation/a.jsonl"], "", undefined, "validation"),
  ).toEqual(["validation/a.jsonl"]);
  const config = (name: string) => `- config_name: ${name}\n  data_files: ${name}/*\n`;
  const several = `---\nconfigs:\n${config("en")}${config("de")}---`;
  expect(refused(() => choose(["en/a.jsonl", "de/a.jsonl"], several))).toContain(
    "has several configurations: en, de",
  );
});

const place = new Workplace();
afterAll(() => place.remove());

const story = (i: number) => JSON.stringify({ story: `once upon a time ${i}` });
const file = (text: string) => ({ content: new Uint8Array(Buffer.from(text)), large: true });

test("a dataset by name, online once and then offline", async () => {
  using hub = new FakeHub({
    "datasets/org/tales": {
      commit: COMMIT,
      files: {
        "README.md": file(README),
        "data/train-0.jsonl": file([1, 2, 3].map(story).join("\n")),
        "data/train-1.jsonl.gz": {
          content: new Uint8Array(gzipSync([4, 5].map(story).join("\n"))),
          large: true,
        },
        "data/test-0.jsonl": file(story(9)),
      },
    },
  });
  place.file(
    "tales.ts",
    `import { dataset } from "theseus";
     const fields = { kind: "text", textField: "story" } as const;
     dataset({ name: "tales", doc: "short tales", hub: "org/tales", ...fields });`,
  );
  place.file(
    "c.yaml",
    `job: data/tokenize
source: { dataset: tales }
tokens: { tokenizer: bytes, validation_fraction: 0, workers: 1 }
`,
  );
  const env = { HF_ENDPOINT: hub.endpoint, HF_HOME: join(place.path, "hf"), HF_TOKEN: "" };
  const run = (name: string, more: string[] = [], extra = {}) =>
    place.run(["run", name, "c.yaml", "out", "--load", "tales.ts", ...more], { ...env, ...extra });
  const text = (name: string) =>
    readFileSync(join(place.path, "out/data", name, "train-00000.tokens"), "utf8");

  const offlineFirst = await run("nothing", [], { HF_HUB_OFFLINE: "1" });
  expect(offlineFirst.code).toBe(3);
  expect(offlineFirst.stderr).toContain("dataset org/tales is not in the cache");

  const { code, stderr } = await run("tales");
  expect(stderr).toContain("tokens to train on");
  expect(code).toBe(0);
  expect(text("tales")).toBe([1, 2, 3, 4, 5].map((i) => `once upon a time ${i}`).join(""));
  hub.stop();

  const offline = await run("offline", [], { HF_HUB_OFFLINE: "1" });
  expect(offline.code).toBe(0);
  expect(text("offline")).toBe(text("tales"));
  const test = await run("test", ["source.split=test"], { HF_HUB_OFFLINE: "1" });
  expect(test.code).toBe(3);
  expect(test.stderr).toContain("data/test-0.jsonl of dataset org/tales");

  const hf = ["source.dataset=null", "source.files=['hf:org/tales']", "source.text_field=story"];
  expect((await run("direct", [...hf, "source.max_files=1"], { HF_HUB_OFFLINE: "1" })).code).toBe(
    0,
  );
  expect(text("direct")).toBe([1, 2, 3].map((i) => `once upon a time ${i}`).join(""));
  expect(existsSync(join(place.path, "hf/hub/datasets--org--tales/refs/main"))).toBe(true);

  const jobs = await place.run(["jobs", "--load", "tales.ts"]);
  expect(jobs.stdout).toMatch(/tales +text +short tales/);
  const rows = await place.run(["run", "rows", "c.yaml", "out", "source.dataset=alpaca"], env);
  expect([rows.code, rows.stderr]).toEqual([
    2,
    expect.stringContaining("data/tokenize_rows reads it"),
  ]);
  const unknown = await place.run(["run", "u", "c.yaml", "out", "source.dataset=tinystorys"], env);
  expect([unknown.code, unknown.stderr]).toEqual([
    2,
    expect.stringContaining('mean "tinystories"'),
  ]);
});
