/**
 * @file What submit, status, logs, cancel, fetch and submit again promise, and what preemption, requeue, a time limit and a lost node
 * must not change: the same on this machine, over a real sshd, and on a real SLURM, over ssh and directly. Every run is a real
 * training whose losses must be those of a run that nothing interrupted, bit for bit.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { hasCluster } from "./available.ts";
import { CLUSTER, Client, STEPS, slow } from "./client.ts";
import { SlurmCluster } from "./slurm_cluster.ts";
import { SshServer } from "./ssh_server.ts";

setDefaultTimeout(240_000);

const HOSTS = `${CLUSTER}hosts:
  here: { type: local, cluster: one }
  ssh: { type: plain, ssh: testhost, cluster: one }
  slurm: { type: slurm, cluster: one, poll_seconds: 1 }
  slurm-ssh: { type: slurm, ssh: testhost, cluster: one, poll_seconds: 1 }
  here-hang: { type: local, cluster: one, hang_after: 20 seconds }
  here-hopeless: { type: local, cluster: one, hang_after: 6 seconds }
  slurm-hang: { type: slurm, cluster: one, poll_seconds: 1, hang_after: 20 seconds }
`;

const SLURM = ["slurm", "slurm-ssh"];
const PLAIN = ["here", "ssh"];

let cluster: SlurmCluster;
let server: SshServer;
let client: Client;
let reference: string[];

beforeAll(async () => {
  if (!hasCluster) return;
  cluster = await SlurmCluster.start();
  server = await SshServer.start({ env: { SLURM_CONF: cluster.conf } });
  client = new Client(`ssh_config: ${server.clientConfig}\n${HOSTS}`, {
    SLURM_CONF: cluster.conf,
    XDG_RUNTIME_DIR: server.folder,
  });
  await client.expect(["run", "reference", "small.yaml", "elsewhere"]);
  reference = client.losses(join(client.folder, "elsewhere/runs/general/default/reference"));
  // They take longest and need almost no computing: they go on beside everything else.
  for (const host of [...PLAIN, ...SLURM])
    await client.submit(`time-${host}`, host, [...slow(1100), "--time", "15 seconds"]);
});

afterAll(async () => {
  client?.stop();
  await server?.stop();
  await cluster?.stop();
});

/** The run came to its end, and nothing that happened on the way can be seen in its losses. */
async function expectSame(name: string): Promise<void> {
  await client.ended(name);
  expect(client.losses(client.directory(name))).toEqual(reference);
}

const attempts = (name: string): number =>
  client.events(name).filter(({ event }) => event === "start").length;

const job = (name: string): string =>
  readFileSync(join(client.directory(name), "submit/job.id"), "utf8").trim();

const trainerOf = (name: string): number =>
  JSON.parse(readFileSync(join(client.directory(name), "heartbeat.json"), "utf8")).pid;

/** Its job has been told to end: the training learns of it as soon as it does not wait any more. */
const told = (name: string): Promise<void> =>
  client.until(name, "the signal", () =>
    /asked the training|CANCELLED AT|aborted/.test(client.log(name)),
  );

const real = describe.if(hasCluster);

real("the whole way", () => {
  test.concurrent.each([...PLAIN, ...SLURM])(
    "%s: submit, status, logs, fetch, submit of a finished run",
    async (host) => {
      const name = `whole-${host}`;
      client.hold(name, 3);
      const printed = await client.submit(name, host, slow(20));
      expect(printed).toStartWith(`submitted general/default/${name} to ${host}: job `);
      const early = await client.status(name);
      expect(["queued", "running", "finished"]).toContain(early.state);
      const twin = await client.run(["submit", name, "small.yaml", "--host", host]);
      expect({ code: twin.code, said: twin.stderr }).toEqual({
        code: 5,
        said: expect.stringContaining(`general/default/${name} has a job on ${host} already`),
      });
      client.release(name);
      const followed = await client.run(["logs", name, "-f"]);
      expect(followed.code).toBe(0);
      expect(followed.stdout).toContain(`finished after ${STEPS} steps`);
      expect(await client.status(name)).toMatchObject({
        state: "finished",
        step: STEPS,
        attempt: 1,
      });
      await client.expect(["fetch", name]);
      const here = join(client.folder, "here/runs/general/default", name);
      expect(client.losses(here)).toEqual(reference);
      expect(readdirSync(join(here, "checkpoints"))).toContain(
        `step-${String(STEPS).padStart(6, "0")}`,
      );
      expect(existsSync(join(here, "submit/env"))).toBe(false);
      await client.expect(["checkpoint", "verify", here]);
      expect(statSync(join(client.directory(name), "submit/env")).mode & 0o777).toBe(0o600);
    },
  );

  test.concurrent.each([...PLAIN, ...SLURM])(
    "%s: cancel saves; submit goes on from there",
    async (host) => {
      const name = `cancel-${host}`;
      client.hold(name, 8);
      await client.submit(name, host, slow(250));
      await client.reached(name, 8);
      expect(await client.expect(["cancel", name])).toContain("to save and end");
      await told(name);
      client.release(name);
      await client.until(name, "the end", () => client.events(name).at(-1)?.event === "end");
      const stopped = await client.status(name);
      expect(stopped).toMatchObject({ state: "cancelled" });
      expect(stopped.step ?? 0).toBeLessThan(STEPS);
      expect(await client.expect(["cancel", name])).toContain("has no job to end: it is cancelled");
      await client.submit(name, host, slow(20));
      await expectSame(name);
      expect(client.log(name)).toContain("goes on from step");
    },
  );
});

real("workers that hang or crash", () => {
  const send = async (name: string, host: string, signal: "STOP" | "KILL"): Promise<void> => {
    if (host.startsWith("slurm"))
      await cluster.command(["scancel", `--signal=${signal}`, `${job(name)}.0`]);
    else process.kill(trainerOf(name), `SIG${signal}`);
  };

  test.concurrent.each(["here-hang", "slurm-hang"])(
    "%s: one that hangs is seen, killed, and begins again",
    async (host) => {
      const name = `stop-${host}`;
      client.hold(name, 8);
      await client.submit(name, host, slow(20));
      await client.reached(name, 8);
      await send(name, host, "STOP");
      client.release(name);
      let status = await client.status(name);
      while (!status.reason.startsWith("no progress")) status = await client.status(name);
      expect(status).toMatchObject({
        state: "running",
        reason: expect.stringMatching(/^no progress for \d+ s, at step 8; killed after 20 s$/),
      });
      const first = host === "here-hang" ? trainerOf(name) : 0;
      await expectSame(name);
      expect(client.events(name).map(({ event, next }) => `${event} ${next}`.trim())).toEqual([
        ...["submitted undefined", "start", "hung", "end requeue", "start", "end finished"],
      ]);
      expect(client.log(name)).toMatch(/== hangs: no progress for \d+ s, killed/);
      if (first !== 0) expect(existsSync(`/proc/${first}`)).toBe(false);
    },
  );

  test.concurrent("one that hangs every time is given up", async () => {
    client.hold("hopeless", 2);
    await client.submit("hopeless", "here-hopeless", slow(20));
    await client.ended("hopeless", "gave up");
    expect(client.events("hopeless").filter(({ event }) => event === "hung")).toHaveLength(3);
    expect(await client.status("hopeless")).toMatchObject({
      state: "failed",
      reason: "several attempts in a row brought no new checkpoint",
    });
  });

  test.concurrent.each(["here", "slurm"])(
    "%s: one that crashes ends its job; submit goes on",
    async (host) => {
      const name = `crash-${host}`;
      client.hold(name, 8);
      await client.submit(name, host, slow(20));
      await client.reached(name, 8);
      await send(name, host, "KILL");
      await client.until(name, "the end", () => client.events(name).at(-1)?.event === "end");
      const status = await client.status(name);
      expect(status).toMatchObject({
        state: "failed",
        reason: "exit code 137: killed, perhaps for memory",
      });
      expect(status.log_tail.join("\n")).toContain("attempt 1 of job");
      client.release(name);
      await client.submit(name, host, slow(20));
      await expectSame(name);
    },
  );

  test.concurrent("its script alone is killed: the training saves and ends, nothing is orphaned", async () => {
    const name = "orphan";
    await client.submit(name, "here", slow(250));
    await client.reached(name, 6);
    const trainer = trainerOf(name);
    process.kill(Number(job(name).split(".")[0]), "SIGKILL");
    await client.until(name, "the end", () => !existsSync(`/proc/${trainer}`), 30_000);
    expect(client.log(name)).toContain("the job's script is gone");
    expect(await client.status(name)).toMatchObject({ state: "failed" });
    await client.submit(name, "here", slow(20));
    await expectSame(name);
  });
});

real("signals", () => {
  test.concurrent.each(["here", "slurm"])(
    "%s: two of them while a checkpoint is written: it is saved, and started again once",
    async (host) => {
      const name = `twice-${host}`;
      await client.submit(name, host, [...slow(100), "--env", "THESEUS_FAULT=write:9:wait"]);
      const folder = join(client.directory(name), "checkpoints");
      let seen = "";
      await client.until(name, "a write that takes long", () => {
        const open = existsSync(folder) ? readdirSync(folder).find((each) => /tmp/.test(each)) : "";
        const same = open !== undefined && open !== "" && open === seen;
        seen = open ?? "";
        return same;
      });
      for (const _ of [1, 2]) {
        if (host === "here") process.kill(Number(job(name).split(".")[0]), "SIGUSR1");
        else await cluster.command(["scancel", "--batch", "--signal=USR1", job(name)]);
        await Bun.sleep(100);
      }
      await expectSame(name);
      expect(client.log(name).match(/== signal before the time limit/g)).toHaveLength(2);
      expect(client.events(name).map(({ event, next }) => `${event} ${next}`.trim())).toEqual([
        ...["submitted undefined", "start", "end requeue", "start", "end finished"],
      ]);
    },
  );
});

real("interruptions without a scheduler", () => {
  test.concurrent.each(PLAIN)(
    "%s: a signal from outside makes the next attempt, at once",
    async (host) => {
      const name = `signal-${host}`;
      await client.submit(name, host, slow(250));
      await client.reached(name, 8);
      const first = trainerOf(name);
      process.kill(first, "SIGUSR2");
      await client.until(name, "a second attempt", () => trainerOf(name) !== first);
      process.kill(trainerOf(name), "SIGTERM");
      await expectSame(name);
      expect(client.events(name).filter(({ next }) => next === "requeue")).not.toEqual([]);
    },
  );

  test.concurrent.each(PLAIN)("%s: processes killed without a word; submit again", async (host) => {
    const name = `lost-${host}`;
    client.hold(name, 8);
    await client.submit(name, host, slow(250));
    await client.reached(name, 8);
    const [pid] = readFileSync(join(client.directory(name), "submit/job.id"), "utf8").split(".");
    process.kill(-Number(pid), "SIGKILL");
    await Bun.sleep(300);
    expect(await client.status(name)).toMatchObject({
      state: "failed",
      reason: "its processes are gone without a word: killed, perhaps for memory",
    });
    client.release(name);
    await client.submit(name, host, slow(20));
    await expectSame(name);
  });
});

real("interruptions by SLURM", () => {
  const shown = async (name: string): Promise<string> =>
    cluster.command(["scontrol", "show", "job", job(name)]);

  test.concurrent("scontrol requeue", async () => {
    const names = SLURM.map((host) => `requeue-${host}`);
    for (const [i, name] of names.entries()) {
      client.hold(name, 8);
      // On the node where no other test preempts it.
      await client.submit(name, SLURM[i] ?? "", [...slow(250), "--sbatch", "nodelist=n1"]);
      await client.reached(name, 8);
      await cluster.command(["scontrol", "requeue", job(name)]);
      await told(name);
      client.release(name);
    }
    for (const name of names) {
      await expectSame(name);
      expect(
        client
          .events(name)
          .map(({ next }) => next)
          .filter(Boolean),
      ).toEqual(["stopped", "finished"]);
      expect(await shown(name)).toContain("Restarts=1 ");
    }
  });

  test.concurrent("scancel by hand: cancelled, not requeued", async () => {
    client.hold("scancel", 3);
    await client.submit("scancel", "slurm", slow(250));
    await client.reached("scancel", 3);
    await cluster.command(["scancel", job("scancel")]);
    await told("scancel");
    client.release("scancel");
    await client.ended("scancel", "stopped");
    await cluster.until(async () => (await shown("scancel")).includes("JobState=CANCELLED"));
    expect(await client.status("scancel")).toMatchObject({ state: "cancelled" });
    expect(await shown("scancel")).toContain("Restarts=0 ");
  });

  test.concurrent("preemption by a partition of higher priority", async () => {
    const names = SLURM.map((host) => `preempt-${host}`);
    for (const [i, name] of names.entries()) {
      client.hold(name, 6);
      await client.submit(name, SLURM[i] ?? "", [...slow(250), "--sbatch", "nodelist=n2"]);
    }
    for (const name of names) await client.reached(name, 6);
    const high = cluster.command(["srun", "-p", "high", "--exclusive", "sleep", "1"]);
    for (const name of names) {
      await told(name);
      client.release(name);
    }
    await high;
    for (const name of names) {
      await expectSame(name);
      expect(attempts(name)).toBe(2);
      expect(await shown(name)).toContain("Restarts=1 ");
    }
  });

  test.concurrent("a node that is lost", async () => {
    const names = SLURM.map((host) => `node-${host}`);
    for (const [i, name] of names.entries()) {
      client.hold(name, 6);
      await client.submit(name, SLURM[i] ?? "", [...slow(250), "--partition", "far"]);
    }
    for (const name of names) await client.reached(name, 6);
    await cluster.killNode("n3");
    for (const name of names) client.release(name);
    try {
      for (const name of names) {
        await expectSame(name);
        const hosts = client
          .events(name)
          .filter(({ event }) => event === "start")
          .map(({ host }) => host);
        expect(hosts).toEqual(["n3", "n1"]);
        expect(await shown(name)).toContain("Restarts=1 ");
      }
    } finally {
      cluster.startNode("n3");
    }
  });
});

real("a time limit", () => {
  test.concurrent.each([...PLAIN, ...SLURM])(
    "%s: a run of three times its time finishes unattended",
    async (host) => {
      const name = `time-${host}`;
      await expectSame(name);
      expect(attempts(name)).toBeGreaterThanOrEqual(3);
    },
  );
});
