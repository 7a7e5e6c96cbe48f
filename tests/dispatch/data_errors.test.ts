/** @file Every mistake about a submitted run's data: what is said, the exit code, and nothing on the host. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { CLUSTER, Client } from "./client.ts";

setDefaultTimeout(60_000);

let client: Client;
beforeAll(() => {
  client = new Client(`${CLUSTER}hosts:\n  here: { type: local, cluster: one }\n`);
  client.file("text.txt", "some text\n");
  client.file("notes/a.txt", "some text\n");
  const source = "source: { files: [text.txt] }";
  client.file("stories.yaml", `job: data/tokenize\n${source}\n`);
  client.file("again/stories.yaml", `job: data/tokenize\n${source}\n`);
  client.file("elsewhere.yaml", `job: data/tokenize\n${source}\ntokens: { output: ../out/x }\n`);
  client.file("twice.yaml", "job: data/tokenize\nsource: { files: [notes, notes/a.txt] }\n");
  client.file(
    "judge.yaml",
    "job: eval/run\nevaluation: { model: nobody@best, tasks: [mine.yaml] }\n",
  );
  const task = "task: mine\ndataset_path: json\noutput_type: multiple_choice\ntest_split: test\n";
  const files = `dataset_kwargs: { data_files: { test: ${client.folder}/items.jsonl } }`;
  const items = `${task}${files}\ndoc_to_text: a\ndoc_to_target: 0\ndoc_to_choice: [a, b]\n`;
  client.file("mine.yaml", items);
  client.file("items.jsonl", '{"a":1}\n');
  client.file("adapters/adapter_config.json", adapterJson(`${client.folder}/notes`));
  client.file("adapters/adapter_model.safetensors", "x");
  client.file("code/mine.ts", DATASET);
});
afterAll(() => client.stop());

const DATASET = `import { dataset } from "theseus";
dataset({ name: "mine", doc: "d", kind: "text", files: ["notes/*.txt"] });
`;

const adapterJson = (base: string): string =>
  JSON.stringify({
    ...{ peft_type: "LORA", r: 2, lora_alpha: 4, target_modules: ["c_attn"] },
    base_model_name_or_path: base,
  });

const prepare = ["--prepare", "stories.yaml"];
const MISTAKES: Readonly<Record<string, readonly string[]>> = {
  "a file of here that the host lacks": ["small.yaml", "data.text=text.txt"],
  "a folder that is nowhere": ["small.yaml", "data.tokens=no/such"],
  "several at once": ["small.yaml", "data.text=text.txt", "data.tokenizer=hf:org/name"],
  "a path of the host that is not there": ["small.yaml", "data.tokens=/no/such"],
  "weights that are nowhere": ["small.yaml", "--init-from", "nobody"],
  "weights for a job that is no training": ["stories.yaml", "--init-from", "nobody"],
  "adapters of a model of this machine": ["small.yaml", "--init-from", "adapters"],
  "a task whose data has a place of this machine": ["judge.yaml"],
  "a source that is named twice": ["twice.yaml"],
  "a dataset of users' code": ["stories.yaml", "--load", "code/mine.ts", "source.dataset=mine"],
  "a job before it whose data nobody reads": ["small.yaml", ...prepare],
  "a job before it that makes no data": ["small.yaml", "--prepare", "small.yaml"],
  "a job before it that is not there": ["small.yaml", "--prepare", "nothing.yaml"],
  "two jobs before it that make the same": [
    ...["small.yaml", ...prepare, "--prepare", "again/stories.yaml"],
  ],
  "a job before it that writes to this machine": ["small.yaml", "--prepare", "elsewhere.yaml"],
  "a job before it whose own data is missing": ["small.yaml", ...prepare, "data.tokens=stories"],
};

/** All are asked at once, a few at a time: each is a process of its own. */
const said = new Map<string, string>();
beforeAll(async () => {
  const waiting = Object.entries(MISTAKES);
  const one = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [name, args] = next;
      const more = name === "a dataset of users' code" ? ["source.files=[]"] : [];
      const words = ["submit", "run", ...args, ...more, "--host", "here"];
      const { code, stdout, stderr } = await client.run(words);
      said.set(name, `exit ${code}\n${stdout}${stderr}`.replaceAll(client.folder, "FOLDER"));
    }
  };
  await Promise.all([one(), one(), one()]);
});

test.each(Object.keys(MISTAKES))("%s", (name) => {
  expect(said.get(name)).toMatchSnapshot();
});

test("nothing of it came to the host", () => expect(existsSync(client.root)).toBe(false));
