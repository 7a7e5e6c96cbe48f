/**
 * @file Data that a job makes before the run that reads it: one job however many wait for it, failures told where they matter, and the
 * same names again go on.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CLUSTER, Client } from "./client.ts";

setDefaultTimeout(180_000);

/** A job waits in its set-up, before all else, for as long as a file names it. */
const WAIT = `while [ -e "FOLDER/hold/\${run_dir##*/}" ]; do sleep 0.1; done`;
const HOSTS = `${CLUSTER}hosts:
  here: { type: local, cluster: one, setup: ['${WAIT}'] }
`;

let client: Client;
beforeAll(() => {
  client = new Client(HOSTS);
  corpus("stories");
});
afterAll(() => client.stop());

/** NAME.jsonl, and NAME.yaml that makes tokens of it. */
function corpus(name: string, tokenizer = "bytes", more = ""): void {
  const lines = Array.from({ length: 300 }, (_, i) => `{"text":"${i} of the people"}\n`);
  client.file(`${name}.jsonl`, lines.join("") + more);
  const tokens = `tokens: { tokenizer: ${tokenizer}, validation_fraction: 0.1, workers: 1 }`;
  client.file(
    `${name}.yaml`,
    `job: data/tokenize\nsource: { files: [${name}.jsonl] }\n${tokens}\n`,
  );
}

const said = async (args: readonly string[]) => {
  const { code, stdout, stderr } = await client.run(args);
  return `${code} ${stdout}${stderr}`;
};
const submitWith = (data: string, name: string, ...more: string[]): string[] => [
  ...["submit", name, "small.yaml", "--host", "here", "--prepare", `${data}.yaml`],
  ...[`data.tokens=here/data/${data}`, ...more],
];
const submit = (name: string, ...more: string[]): string[] => submitWith("stories", name, ...more);

test("mistakes are told before anything is queued", async () => {
  expect(await said(submit("a"))).toStartWith("3 error: data is missing on here:\n  source.files:");
  expect(await said(submit("a", "data.tokens=null"))).toStartWith(
    "2 error: stories.yaml  nothing reads what it makes: data/stories of the host's ROOT",
  );
  expect(await said(submit("a", "--prepare", "small.yaml"))).toStartWith(
    "2 error: small.yaml  expected a job that makes data, got gpt/pretrain",
  );
  expect(existsSync(client.root)).toBe(false);
});

test.concurrent("made, then read: the run waits, and has the losses of one here; a second takes what is there", async () => {
  const dry = await client.expect(submit("first", "--ship-data", "--dry-run"));
  expect(dry).toMatch(
    /prepare +general\/default\/stories -> \S+\/data\/stories: would be submitted/,
  );
  client.hold("stories", 0);
  const made = JSON.parse(await client.expect(submit("first", "--ship-data", "--json")));
  expect(made).toMatchObject({
    run: "general/default/first",
    before: [{ run: "general/default/stories" }],
  });
  await client.until("first", "its wait", () => client.events("first").at(-1)?.event === "waiting");
  expect(await client.status("first")).toMatchObject({
    state: "queued",
    reason: "waits for general/default/stories",
  });
  // While it is at work another run waits for the same job.
  const second = JSON.parse(await client.expect(submit("second", "training.seed=2", "--json")));
  expect(second.before).toEqual([]);
  client.release("stories");
  for (const name of ["stories", "first", "second"]) await client.ended(name);
  expect(client.events("stories").filter(({ event }) => event === "start")).toHaveLength(1);
  await client.expect(["run", "stories", "stories.yaml"]);
  await client.expect(["run", "first", "small.yaml", "data.tokens=here/data/stories"]);
  const here = join(client.folder, "here/runs/general/default/first");
  expect(client.losses(client.directory("first"))).toEqual(client.losses(here));
  rmSync(join(client.folder, "here/data"), { recursive: true });

  // What it was made from is not asked for any more.
  rmSync(join(client.root, "data/by-content"), { recursive: true });
  const third = JSON.parse(await client.expect(submit("third", "--json")));
  expect(third.before).toEqual([]);
  await client.ended("third");
  expect(client.events("third").map(({ event }) => String(event))).toEqual([
    "submitted",
    "start",
    "end",
  ]);
  expect(existsSync(join(client.directory("third"), "submit/after"))).toBe(false);
  corpus("stories", "gpt2");
  expect(await said(submit("fourth"))).toMatch(
    /^5 .* is on the host with another configuration:\n {2}tokens.tokenizer: "bytes" -> "gpt2"/s,
  );
});

test.concurrent("one that fails, and one that is killed: the run says so; the same again goes on", async () => {
  corpus("broken", "bytes", "{");
  await client.expect(submitWith("broken", "reader", "--ship-data"));
  await client.ended("reader", "not prepared");
  expect(await client.status("reader")).toMatchObject({
    state: "failed",
    reason: "general/default/broken, which makes its data, failed (exit code 6)",
  });
  expect(await client.status("broken")).toMatchObject({ state: "failed" });

  corpus("lost");
  client.hold("lost", 0);
  await client.expect(submitWith("lost", "finder", "--ship-data"));
  const id = readFileSync(join(client.directory("lost"), "submit/job.id"), "utf8");
  process.kill(-Number(id.split(".")[0]), "SIGKILL");
  await client.ended("finder", "not prepared");
  expect(await client.status("finder")).toMatchObject({
    state: "failed",
    reason: "general/default/lost, which makes its data, did not finish",
  });
  client.release("lost");
  expect(await client.expect(submitWith("lost", "finder"))).toMatch(
    /^submitted general\/default\/lost to here: .*\nsubmitted general\/default\/finder to here: /,
  );
  await client.ended("finder");
});

test.concurrent("two at once: one job for both", async () => {
  corpus("both");
  client.hold("both", 0);
  const names = ["left", "right"];
  const all = await Promise.all(
    names.map((name) => client.expect(submitWith("both", name, "--ship-data", "--json"))),
  );
  expect(all.flatMap((each) => JSON.parse(each).before)).toHaveLength(1);
  client.release("both");
  for (const name of names) await client.ended(name);
  expect(client.events("both").filter(({ event }) => event === "start")).toHaveLength(1);
});

test.concurrent("a sweep: once for all cells; cancelled while it waits", async () => {
  corpus("shared");
  client.file("grid.yaml", "training.seed: [1, 2, 3]\n");
  client.hold("shared", 0);
  const [, , config, ...rest] = submitWith("shared", "", "--ship-data");
  const sweep = ["sweep", "rates", config ?? "", "grid.yaml", ...rest];
  expect(await client.expect([...sweep, "--dry-run"])).toMatch(
    /prepare +general\/default\/shared -> \S+: would be submitted/,
  );
  const made = JSON.parse(await client.expect([...sweep, "--json"]));
  expect([made.before.length, made.submitted.length]).toEqual([1, 3]);
  expect(await client.expect(["cancel", made.submitted[0].run])).toContain("to save and end");
  client.release("shared");
  const states = async (): Promise<string[]> => {
    const all = JSON.parse(await client.expect(["status", "--host", "here", "--json"])).runs;
    return all
      .filter(({ run }: { run: string }) => run.startsWith("general/rates/"))
      .map(({ state }: { state: string }) => state)
      .sort();
  };
  const end = Date.now() + 60_000;
  while ((await states()).some((state) => ["queued", "running"].includes(state)))
    if (Date.now() > end) throw new Error(`still ${await states()}`);
  expect(await states()).toEqual(["cancelled", "finished", "finished"]);
  const again = JSON.parse(await client.expect([...sweep, "--json"]));
  expect([again.before.length, again.submitted.length]).toEqual([0, 1]);
});

test.if(Bun.which("shellcheck") !== null)(
  "shellcheck has nothing to say about a waiting job",
  () => {
    const script = join(client.directory("first"), "submit/job.sh");
    expect(readFileSync(script, "utf8")).toContain("wait_for data_made general/default/stories");
    const { exitCode, stdout } = Bun.spawnSync(["shellcheck", script]);
    expect({ exitCode, said: stdout.toString() }).toEqual({ exitCode: 0, said: "" });
  },
);
