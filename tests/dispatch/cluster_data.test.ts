/**
 * @file Data of runs on a real SLURM, over ssh and directly, and over a real sshd: jobs that wait for the jobs that make what they
 * read, what is fetched on the login node, copies that are cut half-way.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { COMMIT, FakeHub } from "../data/hub/fake_hub.ts";
import { hasCluster } from "./available.ts";
import { CLUSTER, Client } from "./client.ts";
import { SlurmCluster } from "./slurm_cluster.ts";
import { SshServer } from "./ssh_server.ts";

setDefaultTimeout(180_000);

/** A job waits in its set-up, before all else, for as long as a file names it. */
const HELD = `[ -n "\${run_dir:-}" ] && [ -e "FOLDER/hold/\${run_dir##*/}" ]`;
const WAIT = `while ${HELD}; do sleep 0.1; done`;
const HOSTS = `${CLUSTER}hosts:
  ssh: { type: plain, ssh: testhost, cluster: one }
  slurm: { type: slurm, cluster: one, poll_seconds: 1, setup: ['${WAIT}'] }
  slurm-ssh: { type: slurm, ssh: testhost, cluster: one, poll_seconds: 1, setup: ['${WAIT}'] }
`;

let cluster: SlurmCluster;
let server: SshServer;
let client: Client;
let hub: FakeHub;

beforeAll(async () => {
  if (!hasCluster) return;
  cluster = await SlurmCluster.start();
  server = await SshServer.start({ env: { SLURM_CONF: cluster.conf } });
  client = new Client(`ssh_config: ${server.clientConfig}\n${HOSTS}`, {
    SLURM_CONF: cluster.conf,
    XDG_RUNTIME_DIR: server.folder,
  });
  const lines = Array.from({ length: 300 }, (_, i) => `{"text":"${i} of the people"}\n`).join("");
  client.file("text.jsonl", lines);
  const content = new TextEncoder().encode(lines);
  hub = new FakeHub({
    "datasets/org/text": { commit: COMMIT, files: { "data/train-0.jsonl": { content } } },
  });
});

afterAll(async () => {
  hub?.stop();
  client?.stop();
  await server?.stop();
  await cluster?.stop();
});

/** NAME.yaml that makes tokens of files. */
function maker(name: string, files = "text.jsonl"): void {
  const tokens = "tokens: { tokenizer: bytes, validation_fraction: 0.1, workers: 1 }";
  client.file(`${name}.yaml`, `job: data/tokenize\nsource: { files: ['${files}'] }\n${tokens}\n`);
}
const args = (host: string, data: string, ...more: string[]): string[] => [
  ...["small.yaml", "--host", host, "--prepare", `${data}.yaml`, `data.tokens=here/data/${data}`],
  ...["--ship-data", ...more],
];
const job = (name: string): string =>
  readFileSync(join(client.directory(name), "submit/job.id"), "utf8").trim();
const state = async (name: string): Promise<string> =>
  /JobState=(\w+)/.exec(await cluster.command(["scontrol", "show", "job", job(name)]))?.[1] ?? "";

describe.if(hasCluster)("SLURM", () => {
  test.concurrent("through ssh: fetched on the login node, made by a job that is requeued, then read", async () => {
    maker("web", "hf:org/text");
    client.hold("web", 0);
    const variables = [`HF_ENDPOINT=${hub.endpoint}`, `HF_HOME=${client.folder}/hub`];
    const env = variables.flatMap((each) => ["--env", each]);
    const submit = ["submit", "web-run", ...args("slurm-ssh", "web", ...env)];
    expect(await client.run(submit)).toMatchObject({
      code: 3,
      stderr: expect.stringContaining("source.files: hf:org/text, not in its Hugging Face cache"),
    });
    expect(hub.seen).toEqual([]);
    await client.expect([...submit, "--fetch-data"]);
    const asked = hub.seen.length;
    expect(asked).toBeGreaterThan(0);
    expect(await client.status("web-run")).toMatchObject({
      state: "queued",
      reason: "waits for general/default/web",
    });
    await cluster.until(async () => (await state("web")) === "RUNNING");
    await cluster.command(["scontrol", "requeue", job("web")]);
    await cluster.until(async () => (await state("web")) !== "RUNNING");
    expect(await state("web-run")).toBe("PENDING");
    client.release("web");
    await client.ended("web");
    await client.ended("web-run");
    expect(await client.status("web-run")).toMatchObject({ state: "finished" });
    expect(hub.seen.length).toBe(asked);
  });

  test.concurrent("one that is cancelled: the run is over and says why; the same again makes both", async () => {
    maker("lost");
    client.hold("lost", 0);
    const submit = ["submit", "lost-run", ...args("slurm", "lost")];
    await client.expect(submit);
    await cluster.command(["scancel", job("lost")]);
    await cluster.until(async () => (await state("lost-run")) === "CANCELLED");
    expect(await client.status("lost-run")).toMatchObject({
      state: "failed",
      reason: "general/default/lost, which makes its data, did not finish",
    });
    client.release("lost");
    await cluster.until(async () => (await state("lost")) === "CANCELLED");
    expect(await client.expect(submit)).toContain("submitted general/default/lost to slurm");
    await client.ended("lost-run");
  });

  test.concurrent("a run that SLURM refuses takes the job before it along", async () => {
    maker("refused");
    client.hold("refused", 0);
    const { code, stderr } = await client.run([
      ...["submit", "refused-run", ...args("slurm", "refused", "--sbatch", "nodelist=n9")],
    ]);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining("slurm refused the job"),
    });
    expect(existsSync(client.directory("refused-run"))).toBe(false);
    await cluster.until(async () => /CANCELLED|COMPLETING/.test(await state("refused")));
    client.release("refused");
  });

  test.concurrent("a sweep: arrays that wait for one job", async () => {
    maker("shared");
    client.hold("shared", 0);
    client.file("grid.yaml", "training.seed: [1, 2, 3, 4, 5, 6]\n");
    const [config = "", ...rest] = args("slurm", "shared", "training.steps=4");
    const sweep = ["sweep", "many", config, "grid.yaml", ...rest, "--json"];
    const made = JSON.parse(await client.expect(sweep));
    expect([made.before.length, made.submitted.length]).toEqual([1, 6]);
    const queue = await cluster.command(["squeue", "-h", "-r", "-o", "%j %E"]);
    const waiting = queue.split("\n").filter((line) => line.startsWith("theseus.sweep.many "));
    expect(waiting).toHaveLength(6);
    for (const line of waiting) expect(line).toContain(`afterok:${made.before[0].job}`);
    client.release("shared");
    const ended = (run: string): boolean => {
      const path = join(client.root, "runs", run, "submit/attempts.jsonl");
      return existsSync(path) && readFileSync(path, "utf8").includes('"finished"');
    };
    await client.until("shared", "six ends", () =>
      made.submitted.every(({ run }: { run: string }) => ended(run)),
    );
  });
});

test.if(hasCluster)("a copy of many files that is cut goes on where it stopped", async () => {
  const other = new Client(`ssh_config: ${server.clientConfig}\n${HOSTS}`, {
    XDG_RUNTIME_DIR: server.folder,
  });
  try {
    for (let i = 0; i < 40; i++) other.file(`data/${i % 3}/${i}.txt`, `${i}\n`.repeat(2e4));
    other.file("data/large.txt", "0123456789 and so on\n".repeat(4e5));
    other.file("make.yaml", "job: data/tokenize\nsource: { files: [data] }\n");
    const submit = ["submit", "cut", "make.yaml", "--host", "ssh", "--ship-data"];
    const relay = `ProxyCommand ${process.execPath} ${join(import.meta.dir, "relay.ts")} ${server.port} 0`;
    server.hangUp();
    server.writeClient([`${relay} ${7 * 2 ** 20}`]);
    const cut = await other.run(submit);
    expect({ code: cut.code, said: cut.stderr }).toEqual({
      code: 4,
      said: expect.stringMatching(/copying data: 1\d.\d MiB.*was lost|only in part/s),
    });
    const there = (): string[] => {
      const all = readdirSync(join(other.root, "data/by-content"), { recursive: true });
      return all.map(String);
    };
    expect(there().filter((name) => name.endsWith("/complete"))).toEqual([]);
    expect(there().filter((name) => name.endsWith(".txt"))).toHaveLength(40);
    expect(there().filter((name) => name.includes("large.txt.part-"))).toHaveLength(1);
    expect(existsSync(other.directory("cut"))).toBe(false);
    server.writeClient();
    const again = await other.run(submit);
    expect(again).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/copying data: .* MiB, the first .* MiB are there already/),
    });
    expect(there().filter((name) => name.includes(".part-"))).toEqual([]);
    const large = there().find((name) => name.endsWith("large.txt")) ?? "";
    expect(readFileSync(join(other.root, "data/by-content", large))).toEqual(
      readFileSync(join(other.folder, "data/large.txt")),
    );
    await other.expect(["cancel", "cut"]);
  } finally {
    other.stop();
  }
});
