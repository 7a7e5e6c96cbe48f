/**
 * @file What goes wrong with SLURM: a controller that is down, squeue that forgets a job, accounting that is off, what it refuses; the
 * scripts that it is given; sweeps as arrays; several nodes; devices.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { clockOff, hasCluster } from "./available.ts";
import { CLUSTER, Client, STEPS, slow } from "./client.ts";
import { SlurmCluster } from "./slurm_cluster.ts";

setDefaultTimeout(180_000);

const off = (by: string): string =>
  `export ${Object.entries(clockOff(by))
    .map((pair) => pair.join("="))
    .join(" ")}`;

const HOSTS = `${CLUSTER}hosts:
  slurm: { type: slurm, cluster: one, poll_seconds: 1 }
  lazy: { type: slurm, cluster: one }
  behind: { type: slurm, cluster: one, poll_seconds: 1, setup: [${off("-2h")}] }
  ahead: { type: slurm, cluster: one, poll_seconds: 1, setup: [${off("+2h")}] }
gres_mapping: { a100: nvidia_a100 }
`;

let cluster: SlurmCluster;
let client: Client;

beforeAll(async () => {
  if (!hasCluster) return;
  cluster = await SlurmCluster.start();
  client = new Client(HOSTS, { SLURM_CONF: cluster.conf });
});

afterAll(async () => {
  client?.stop();
  await cluster?.stop();
});

const jobs = async (): Promise<number> =>
  (await cluster.command(["squeue", "-h", "-a", "-t", "all"])).trim().split("\n").filter(Boolean)
    .length;

/** A program of that name in front of the real ones, told what to do by a file. */
function fake(name: string, body: string): Readonly<Record<string, string>> {
  client.file(`fake-${name}/${name}`, `#!/bin/sh\nreal=${Bun.which(name)}\n${body}\n`, 0o755);
  return { PATH: `${join(client.folder, `fake-${name}`)}:${process.env.PATH}` };
}

const said = async (args: readonly string[], env: Readonly<Record<string, string>> = {}) => {
  const { code, stdout, stderr } = await client.run(args, env);
  return `${code} ${stdout}${stderr}`;
};
const submit = (name: string, ...more: string[]): string[] => [
  "submit",
  name,
  "small.yaml",
  "--host",
  "slurm",
  ...more,
];

describe.if(hasCluster)("silence and lies", () => {
  test("squeue that answers nothing, a controller that is down: no second job, never failed", async () => {
    client.hold("live", 3);
    await client.submit("live", "slurm", slow(250));
    await client.reached("live", 2);
    const before = await jobs();
    const empty = fake("squeue", "exit 0");
    expect(await said(submit("live"), empty)).toStartWith(
      "5 error: general/default/live has a job on slurm already",
    );
    const status = async (env = {}) =>
      JSON.parse((await client.run(["status", "live", "--json"], env)).stdout).runs[0];
    expect(await status(empty)).toMatchObject({ state: "running" });
    const garbage = fake(
      "squeue",
      "echo 'slurm_load_jobs error: Zero Bytes were transmitted or received' >&2; exit 1",
    );
    expect(await status(garbage)).toMatchObject({ state: "running" });

    await cluster.stopController();
    try {
      const [answer, stands, other] = await Promise.all([
        said(submit("live")),
        status(),
        said(submit("other")),
      ]);
      expect(answer).toMatch(/^4 error: .*SLURM.*Unable to contact slurm controller/s);
      expect(stands).toMatchObject({ state: "running" });
      expect(other).toStartWith("4 error:");
      expect(existsSync(client.directory("other"))).toBe(false);
    } finally {
      cluster.startController();
    }
    await cluster.until(async () => (await jobs()) === before);
    expect(await status()).toMatchObject({ state: "running" });
    await client.expect(["cancel", "live"]);
    client.release("live");
    await client.ended("live", "cancelled");
  });

  test("one question to squeue for all runs, and none within half a minute", async () => {
    const counting = fake("squeue", `echo "$*" >>${client.folder}/asked; exec "$real" "$@"`);
    // Two runs whose jobs SLURM knows nothing of any more.
    for (const name of ["gone-1", "gone-2"]) {
      const from = join(client.directory("live"), "submit");
      const to = join(client.directory(name), "submit");
      mkdirSync(to, { recursive: true });
      const record = JSON.parse(readFileSync(join(from, "job.json"), "utf8"));
      writeFileSync(
        join(to, "job.json"),
        JSON.stringify({ ...record, name, job: "999999" }, null, 2),
      );
      writeFileSync(join(to, "job.id"), "999999\n");
    }
    let printed = "";
    for (let i = 0; i < 3; i++)
      printed = await client.expect(["status", "--host", "lazy", "--json"], counting);
    const states = (JSON.parse(printed).runs as { run: string; state: string }[]).map(
      ({ run, state }) => `${run.split("/").at(-1)} ${state}`,
    );
    expect(states.sort()).toEqual(["gone-1 unknown", "gone-2 unknown", "live cancelled"]);
    for (const name of ["gone-1", "gone-2"]) rmSync(client.directory(name), { recursive: true });
    expect(readFileSync(join(client.folder, "asked"), "utf8").trim().split("\n")).toHaveLength(1);
  });

  test("an sbatch that took the job and could not say so: the next submit finds it", async () => {
    const mute = fake(
      "sbatch",
      `"$real" "$@" >/dev/null; echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; exit 1`,
    );
    expect(await said(submit("mute", ...slow(100), "--load", "code/slow.ts"), mute)).toStartWith(
      "4 error: SLURM on slurm did not answer",
    );
    const before = await jobs();
    expect(await said(submit("mute"))).toStartWith(
      "5 error: general/default/mute has a job on slurm already",
    );
    expect(await jobs()).toBe(before);
    await client.ended("mute");
    expect(await client.status("mute")).toMatchObject({ state: "finished" });
  });

  test("what SLURM refuses is told in its own words, and nothing is left", async () => {
    expect(await said(submit("no", "--partition", "hihg"))).toMatch(
      /^3 error: no host can meet.*there is no partition "hihg"\. Did you mean "high"\?/s,
    );
    expect(await said(submit("no", "--sbatch", "nodelist=n9"))).toMatch(
      /^2 error: slurm refused the job: .*node/is,
    );
    expect(await said(submit("no", "--chip", "h200"))).toContain(
      '2 error: no host has a chip "h200". Did you mean "h100"?',
    );
    const many = await said(submit("no", "--chip", "h100", "-n", "8"));
    expect(many).toMatch(
      /^3 error: no host can meet 8 h100:.*nearest: slurm, partition low.*at most 2 h100 a/s,
    );
    expect(existsSync(client.directory("no"))).toBe(false);
  });

  test("hosts: what it offers, accounting off is a remark", async () => {
    expect(await client.expect(["hosts", "slurm"])).toContain("low: 2 nodes, 4 h100");
    const check = await client.run(["hosts", "slurm", "--check"]);
    expect(check.stdout).toMatch(/warn {2}accounting .*Slurm accounting storage is disabled/);
    expect(check.code).toBe(0);
  });
});

describe.if(hasCluster)("a node whose clock is off by hours", () => {
  test.concurrent.each(["behind", "ahead"])("%s: nothing takes another state", async (host) => {
    const name = `clock-${host}`;
    client.hold(name, 3);
    await client.submit(name, host, slow(20));
    await client.reached(name, 2);
    const now = Date.now() / 1e3;
    expect(Math.abs((client.events(name).at(-1)?.time ?? now) - now)).toBeGreaterThan(7000);
    const status = async (env = {}, at: string = host) =>
      JSON.parse((await client.run(["status", name, "--host", at, "--json"], env)).stdout).runs[0];
    const running = await status();
    expect(running).toMatchObject({ state: "running", reason: "" });
    expect(running.submitted_age_s).toBeLessThan(100);
    expect(running.heartbeat_age_s).toBeLessThan(100);
    // Only the heartbeat is left to tell.
    for (const tool of ["squeue", "scontrol", "sacct"]) fake(tool, "echo silent >&2; exit 1");
    const folders = ["squeue", "scontrol", "sacct"].map((tool) =>
      join(client.folder, `fake-${tool}`),
    );
    const PATH = [...folders, process.env.PATH].join(":");
    // Tests beside this one keep what squeue said fresh for all.
    for (let tries = 0, reason = ""; reason !== "silent"; tries++) {
      const left = await status({ PATH });
      expect(left.state).toBe("running");
      expect(tries).toBeLessThan(20);
      reason = left.reason;
    }
    await client.expect(["cancel", name]);
    client.release(name);
    await client.ended(name, "cancelled");
    // What was written down last is what happened last.
    client.hold(name, 12);
    const again = JSON.parse(
      await client.expect([...submit(name), "--load", "code/slow.ts", ...slow(20), "--json"]),
    );
    expect(await status({}, "slurm")).toMatchObject({
      job: again.job,
      state: expect.stringMatching(/queued|running/),
    });
    await client.expect(["cancel", name, "--host", "slurm"]);
    client.release(name);
    await client.until(name, "the end", () => !existsSync(join(client.directory(name), "lock")));
  });
});

describe.if(hasCluster)("scripts", () => {
  const script = (name: string): string => join(client.directory(name), "submit/job.sh");

  test.concurrent("a job with a device, by hand too, in its allocation", async () => {
    client.hold("device", 3);
    await client.submit("device", "slurm", [
      ...slow(250),
      "--chip",
      "h100",
      "--cpu",
      "2",
      "--env",
      "MINE=it's",
      "--time",
      "10 minutes",
    ]);
    await client.reached("device", 2);
    const text = readFileSync(script("device"), "utf8");
    for (const line of [
      "--gres=gpu:h100:1",
      "--cpus-per-task=2",
      "--time=00:10:00",
      "--export=NONE",
      "--signal=B:USR1@60",
    ])
      expect(text).toContain(`#SBATCH ${line}\n`);
    const { pid } = JSON.parse(
      readFileSync(join(client.directory("device"), "heartbeat.json"), "utf8"),
    );
    // Its number is that of its node; the environment is what counts.
    const shell = await client.run([
      "shell",
      "device",
      "sh",
      "-c",
      `hostname; tr '\\0' '\\n' </proc/${pid}/environ`,
    ]);
    expect(shell.stdout).toMatch(/^n[12]\n/);
    for (const line of ["MINE=it's", "CUDA_VISIBLE_DEVICES=0", "HF_HUB_OFFLINE=1"])
      expect(shell.stdout).toContain(`${line}\n`);
    await client.expect(["cancel", "device"]);
    client.release("device");
    await client.ended("device", "cancelled");
    client.hold("device", 12);
    await cluster.command(["sbatch", script("device")]);
    await client.until(
      "device",
      "the job by hand",
      () => client.events("device").at(-1)?.event === "start",
    );
    expect(await client.status("device")).toMatchObject({
      state: "running",
      step: expect.any(Number),
    });
    await client.expect(["cancel", "device"]);
    client.release("device");
    await client.ended("device", "cancelled");
  });

  test.concurrent("several nodes: refused for now, but the script is right", async () => {
    const args = submit("multi", "--chip", "h100", "-n", "4", "--nodes", "2");
    const { code, stderr } = await client.run(args);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining("training on several devices is not there yet"),
    });
    const path = /is in (\S+)/.exec(stderr)?.[1] ?? "";
    expect(await client.run([...args, "--dry-run"])).toMatchObject({
      code: 2,
      stdout: expect.stringContaining("#SBATCH --nodes=2"),
    });
    // A program that says what each process would know takes the training's place.
    const seen = join(client.folder, "seen");
    mkdirSync(seen);
    mkdirSync(join(client.directory("multi"), "logs"), { recursive: true });
    const probe = client.file(
      "probe",
      [
        "#!/bin/sh",
        'where="$THESEUS_COORDINATOR_HOST $THESEUS_COORDINATOR_PORT"',
        'who="$THESEUS_RANK $THESEUS_LOCAL_RANK $THESEUS_WORLD_SIZE"',
        `echo "$(hostname) $who $where" >${seen}/$THESEUS_RANK\n`,
      ].join("\n"),
      0o755,
    );
    const by = client.file(
      "multi.sh",
      readFileSync(path, "utf8").replace(/^binary=.*$/m, `binary=${probe}`),
    );
    const job = (await cluster.command(["sbatch", "--parsable", by])).trim();
    await client.ended("multi");
    const port = 20_000 + (Number(job) % 20_000);
    const lines = readdirSync(seen)
      .sort()
      .map((name) => readFileSync(join(seen, name), "utf8").trim());
    expect(lines).toEqual([
      `n1 0 0 4 n1 ${port}`,
      `n1 1 1 4 n1 ${port}`,
      `n2 2 0 4 n1 ${port}`,
      `n2 3 1 4 n1 ${port}`,
    ]);
  });
});

describe.if(hasCluster)("a sweep", () => {
  test.concurrent("3 x 2, two cells killed, again: six results, four not repeated", async () => {
    client.file("grid.yaml", "training.learning_rate: [1e-3, 3e-4, 1e-4]\ntraining.seed: [1, 2]\n");
    const sweep = [
      "sweep",
      "rates",
      "small.yaml",
      "grid.yaml",
      "--host",
      "slurm",
      "--load",
      "code/slow.ts",
      ...slow(100),
    ];
    const first = JSON.parse(await client.expect([...sweep, "--json"]));
    expect(first.submitted).toHaveLength(6);
    // MaxArraySize is 5: one array of five, and one of one.
    expect(new Set(first.submitted.map(({ job }: { job: string }) => job.split("_")[0])).size).toBe(
      2,
    );
    const directory = (run: string): string => join(client.root, "runs", run);
    const events = (run: string): string => {
      const path = join(directory(run), "submit/attempts.jsonl");
      return existsSync(path) ? readFileSync(path, "utf8") : "";
    };
    const killed = first.submitted.slice(1, 3);
    for (const { run, job } of killed) {
      await client.until(run, "its start", () => events(run).includes('"start"'));
      await cluster.command(["scancel", "--signal=KILL", job]);
    }
    const runs: string[] = first.submitted.map(({ run }: { run: string }) => run);
    await client.until("rates", "all ends", () =>
      runs.every((run) => events(run).includes('"end"')),
    );
    const again = JSON.parse(await client.expect([...sweep, "--json"]));
    expect(again.submitted.map(({ run }: { run: string }) => run)).toEqual(
      killed.map(({ run }: { run: string }) => run),
    );
    expect(again.kept).toHaveLength(4);
    await client.until("rates", "six results", () =>
      runs.every((run) => events(run).includes('"finished"')),
    );
    const table = await client.expect([
      "runs",
      "--root",
      client.root,
      "--columns",
      "run,state,step,val_loss",
      "--sort",
      "val_loss",
      "--csv",
    ]);
    const rows = table
      .trim()
      .split("\n")
      .filter((row) => row.startsWith("general/rates/"));
    expect(rows.map((row) => row.split(",").slice(1, 3))).toEqual(
      Array.from({ length: 6 }, () => ["finished", String(STEPS)]),
    );
    expect(await client.expect(sweep)).toContain("nothing to submit");
    const starts = runs.map(
      (run) =>
        events(run)
          .split("\n")
          .filter((line) => line.includes('"start"')).length,
    );
    expect(starts).toEqual(
      runs.map((run) => (killed.some((k: { run: string }) => k.run === run) ? 2 : 1)),
    );
  });
});

test.if(hasCluster)("shellcheck has nothing to say about any of them", () => {
  const scripts = [...new Bun.Glob("**/submit/job.sh").scanSync(client.root)].map((name) =>
    join(client.root, name),
  );
  scripts.push(
    ...[...new Bun.Glob("state/**/*.sh").scanSync(client.folder)].map((name) =>
      join(client.folder, name),
    ),
  );
  expect(scripts.length).toBeGreaterThan(2);
  const { exitCode, stdout } = Bun.spawnSync(["shellcheck", ...scripts]);
  expect({ exitCode, said: stdout.toString() }).toEqual({ exitCode: 0, said: "" });
});
