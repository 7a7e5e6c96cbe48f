/**
 * @file Submitting without a scheduler: two at once, secrets, users' code, devices, sweeps. This machine is the host, so that
 * these tests need neither root nor sshd.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CLUSTER, Client, STEPS, slow } from "./client.ts";

setDefaultTimeout(180_000);

const HOSTS = `${CLUSTER}hosts:
  here: { type: local, cluster: one, env: { TOKEN: "\${env:CANARY}" } }
  gpus: { type: local, cluster: one }
`;
/** Submits of one name at once. */
const MANY = process.env.THESEUS_THOROUGH === "1" ? 20 : 6;
const CANARY = "canary-5f3a9c";
/** In the environment of whoever submits, and asked for by nobody. */
const STRAY = "stray-77b1e2";

let client: Client;
beforeAll(() => {
  client = new Client(HOSTS, { CANARY, WANDB_API_KEY: STRAY, HF_TOKEN: STRAY });
});
afterAll(() => client.stop());

const heartbeat = (name: string): { pid: number } =>
  JSON.parse(readFileSync(join(client.directory(name), "heartbeat.json"), "utf8"));
const environment = (name: string): string[] =>
  readFileSync(`/proc/${heartbeat(name).pid}/environ`, "utf8").split("\0");
const said = async (args: readonly string[], env: Readonly<Record<string, string>> = {}) => {
  const { code, stdout, stderr } = await client.run(args, env);
  return `${code} ${stdout}${stderr}`;
};

test.concurrent("many submits of one name at once: one job, the others say so", async () => {
  client.hold("many", 2);
  const args = [
    "submit",
    "many",
    "small.yaml",
    "--host",
    "here",
    "--load",
    "code/slow.ts",
    ...slow(20),
  ];
  const all = await Promise.all(Array.from({ length: MANY }, () => client.run(args)));
  expect(all.map(({ code }) => code).sort()).toEqual([0, ...Array(MANY - 1).fill(5)]);
  for (const { code, stderr } of all)
    if (code === 5)
      expect(stderr).toMatch(
        /general\/default\/many (has a job on here already|is being submitted)/,
      );
  client.release("many");
  await client.ended("many");
  expect(client.events("many").filter(({ event }) => event === "start")).toHaveLength(1);
});

describe("secrets", () => {
  /** Every file below a folder, but the one that is for secrets. */
  const files = (folder: string): string[] =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter(
        (entry) =>
          entry.isFile() && !(entry.name === "env" && entry.parentPath.endsWith("/submit")),
      )
      .map((entry) => join(entry.parentPath, entry.name));

  test.concurrent("the job has what was given to it, and no file, argument or answer shows it", async () => {
    client.hold("secret", 3);
    const shown = [
      await client.expect([
        "submit",
        "secret",
        "small.yaml",
        "--host",
        "here",
        "--dry-run",
        "--json",
      ]),
    ];
    shown.push(await client.submit("secret", "here", [...slow(20), "--env", `OWN=\${env:CANARY}`]));
    await client.reached("secret", 3);
    const env = environment("secret");
    expect(env).toContain(`TOKEN=${CANARY}`);
    expect(env).toContain(`OWN=${CANARY}`);
    expect(env).toContain("HF_HUB_OFFLINE=1");
    expect(env.join("\n")).not.toContain(STRAY);
    const commands = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
    for (const pid of commands) {
      const path = `/proc/${pid}/cmdline`;
      let line = "";
      try {
        line = readFileSync(path, "utf8");
      } catch {
        continue;
      }
      expect(line).not.toContain(CANARY);
    }
    client.release("secret");
    await client.ended("secret");
    shown.push(
      await client.expect(["status", "secret", "--json"]),
      await client.expect(["logs", "secret"]),
    );
    await client.expect(["fetch", "secret"]);
    for (const text of shown) expect(text).not.toMatch(/canary|stray/);
    const folders = ["cluster/runs/general/default/secret", "work", "state", "here"];
    const found = folders
      .flatMap((folder) => files(join(client.folder, folder)))
      .filter((path) => {
        const text = readFileSync(path, "latin1");
        return text.includes(CANARY) || text.includes(STRAY);
      });
    expect(found).toEqual([]);
  });

  test.concurrent("one that is not set here is told before anything is sent", async () => {
    expect(
      await said([
        "submit",
        "unset",
        "small.yaml",
        "--host",
        "here",
        "--env",
        `A=\${env:NO_SUCH_ONE}`,
      ]),
    ).toContain("2 error: the variable NO_SUCH_ONE is not set here; A of here needs it");
    expect(existsSync(client.directory("unset"))).toBe(false);
  });
});

test.concurrent("users' code goes as it is: untracked files and imports too, ignored ones not; later edits do not run", async () => {
  const folder = join(client.folder, "repository");
  mkdirSync(folder);
  const git = (...args: string[]) =>
    Bun.spawnSync(["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@b", ...args]);
  git("init", "-q");
  writeFileSync(join(folder, ".gitignore"), "big\n");
  writeFileSync(join(folder, "big"), "x");
  writeFileSync(join(folder, "part.ts"), 'export const name = "mine";\n');
  const tracker = (word: string): string => `import { tracker } from "theseus";
import { name } from "./part.ts";
const log = ({ step }) => step === 1 && console.error("${word}");
tracker({ name, doc: "d", open: () => ({ log, finish() {} }) });
`;
  writeFileSync(join(folder, "load.ts"), tracker("as submitted"));
  git("add", "load.ts", ".gitignore");
  git("commit", "-qm", "a");
  const args = [
    "submit",
    "code",
    "small.yaml",
    "--host",
    "here",
    "--load",
    "repository/load.ts",
    "logging.trackers=[mine]",
  ];
  const dirty = await said([...args, "--clean"]);
  expect(dirty).toMatch(/^5 error: .* has changes that are not committed: \?\? part.ts/);
  await client.expect(args);
  writeFileSync(join(folder, "load.ts"), tracker("edited later"));
  await client.ended("code");
  expect(client.log("code")).toContain("as submitted");
  const shipped = readdirSync(join(client.folder, "work/code"), { recursive: true }).map(String);
  expect(shipped.some((path) => path.endsWith("/part.ts"))).toBe(true);
  expect(shipped.some((path) => path.endsWith("/big"))).toBe(false);
});

test.concurrent("devices are pinned and locked: a second job waits for the first", async () => {
  const smi = `#!/bin/sh
case "$*" in
  *memory.total*) echo '90, GPU-a, NVIDIA H100 80GB HBM3, 81559'; echo '91, GPU-b, NVIDIA H100 80GB HBM3, 81559' ;;
  *query-gpu=index*) echo '90, GPU-a'; echo '91, GPU-b' ;;
  *compute-apps*) echo GPU-a ;;
esac
`;
  client.file("smi/nvidia-smi", smi, 0o755);
  const env = { PATH: `${join(client.folder, "smi")}:${process.env.PATH}` };
  const submit = (name: string) => {
    client.hold(name, 2);
    const args = [
      "submit",
      name,
      "small.yaml",
      "--host",
      "gpus",
      "--chip",
      "h100",
      "--load",
      "code/slow.ts",
    ];
    return client.expect([...args, ...slow(20)], env);
  };
  await submit("first");
  await client.reached("first", 2);
  // The other one is busy with somebody else's work.
  expect(environment("first")).toContain("CUDA_VISIBLE_DEVICES=91");
  expect(await client.expect(["hosts", "gpus"], env)).toContain(
    "0 of 2 NVIDIA H100 80GB HBM3 free",
  );
  await submit("second");
  await client.until(
    "second",
    "its wait",
    () => client.events("second").at(-1)?.event === "waiting",
  );
  expect(await client.status("second")).toMatchObject({
    state: "queued",
    reason: "waits for free devices",
  });
  expect(
    await said(
      ["submit", "third", "small.yaml", "--host", "gpus", "--chip", "h100", "-n", "3"],
      env,
    ),
  ).toContain("has 2 h100, 3 are asked for");
  client.release("first");
  await client.ended("first");
  await client.reached("second", 2);
  client.release("second");
  await client.ended("second");
});

test.concurrent("a sweep in a queue of two at a time; status of a whole host from anywhere", async () => {
  client.file("grid.yaml", "training.learning_rate: [1e-3, 1e-4]\ntraining.seed: [1, 2]\n");
  const args = [
    "sweep",
    "queue",
    "small.yaml",
    "grid.yaml",
    "--host",
    "here",
    "--max-parallel",
    "2",
  ];
  const { submitted } = JSON.parse(await client.expect([...args, "--json"]));
  expect(submitted).toHaveLength(4);
  const directory = (run: string): string => join(client.root, "runs", run);
  const events = ({ run }: { run: string }) =>
    readFileSync(join(directory(run), "submit/attempts.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  const over = (cell: { run: string }): boolean =>
    existsSync(join(directory(cell.run), "submit/attempts.jsonl")) &&
    events(cell).at(-1)?.next === "finished";
  await client.until("queue", "four ends", () => submitted.every(over));
  const spans = submitted.map((cell: { run: string }) =>
    events(cell)
      .filter(({ event }) => event === "start" || event === "end")
      .map(({ time }) => time),
  );
  for (const [from] of spans)
    expect(
      spans.filter(([a = 0, b = 0]: number[]) => a < from && from < b).length,
    ).toBeLessThanOrEqual(1);
  // A machine that knows nothing of what was submitted.
  const elsewhere = { XDG_STATE_HOME: join(client.folder, "another state") };
  const said = await client.expect(["status", "--host", "here", "--json"], elsewhere);
  const all = JSON.parse(said).runs;
  for (const { run } of submitted)
    expect(all.find((each: { run: string }) => each.run === run)).toMatchObject({
      state: "finished",
      step: STEPS,
    });
  expect(await client.expect(args)).toContain("nothing to submit");
});
