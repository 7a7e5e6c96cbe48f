/**
 * @file What goes wrong between two machines: a connection cut half-way, a login shell that talks or is no sh, changed keys, refused
 * connections, full and read-only folders. Every time a clear line, and nothing half-shipped.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { clockOff, hasCluster } from "./available.ts";
import { CLUSTER, Client, slow } from "./client.ts";
import { SshServer } from "./ssh_server.ts";

setDefaultTimeout(120_000);

const HOSTS = `${CLUSTER}  two: { root: FOLDER/two, work: FOLDER/small }
  three: { root: FOLDER/three, work: FOLDER/readonly/work }
hosts:
  ssh: { type: plain, ssh: testhost, cluster: one }
  login: { type: slurm, ssh: testhost, cluster: one }
  full: { type: plain, ssh: testhost, cluster: two }
  readonly: { type: plain, ssh: testhost, cluster: three }
  nobody: { type: plain, ssh: no-such-host.invalid, cluster: one }
`;

const servers: SshServer[] = [];
const clients: Client[] = [];
const mounts: string[] = [];
const folders: string[] = [];

async function pair(options: Parameters<typeof SshServer.start>[0] = {}) {
  const server = await SshServer.start(options);
  servers.push(server);
  const client = new Client(`ssh_config: ${server.clientConfig}\n${HOSTS}`, {
    XDG_RUNTIME_DIR: server.folder,
  });
  clients.push(client);
  return { server, client };
}

/** A file system of its own; sshd sees only those that were there before it. */
function mount(options: string): string {
  const path = mkdtempSync("/tmp/theseus-mount-");
  const done = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path]);
  if (done.exitCode !== 0) throw new Error(done.stderr.toString());
  mounts.push(path);
  return path;
}

afterAll(async () => {
  for (const client of clients) client.stop();
  for (const folder of folders) rmSync(folder, { recursive: true });
  for (const server of servers) await server.stop();
  for (const path of mounts) {
    Bun.spawnSync(["umount", "-l", path]);
    rmSync(path, { recursive: true });
  }
});

/** The executable of these tests with some megabytes behind it, so that sending it takes a while. */
function heavyBinary(client: Client): string {
  const text = readFileSync(join(client.folder, "theseus"), "utf8");
  return client.file("heavy", `${text}exit\n${"x".repeat(6 * 2 ** 20)}`, 0o755);
}

/** A folder with a dd that ends as the real one does where the quota is used up; this kernel has no file system with quotas. */
function quotaFull(): string {
  const folder = mkdtempSync("/tmp/theseus-quota-");
  folders.push(folder);
  const text = `#!/bin/sh
for word; do case "$word" in of=*) head -c 1000 >"\${word#of=}" ;; esac; done
echo "dd: error writing: Disk quota exceeded" >&2
exit 1
`;
  writeFileSync(join(folder, "dd"), text, { mode: 0o755 });
  return folder;
}

const inWork = (client: Client): string[] => {
  const folder = join(client.folder, "work/bin");
  return existsSync(folder) ? readdirSync(folder) : [];
};

describe.if(hasCluster)("a connection that is lost", () => {
  test.concurrent("an upload that is cut goes on where it stopped; the executable is sent once", async () => {
    const { server, client } = await pair();
    const THESEUS_BINARY = heavyBinary(client);
    const relay = `ProxyCommand ${process.execPath} ${join(import.meta.dir, "relay.ts")} ${server.port} 0`;
    server.writeClient([`${relay} ${3 * 2 ** 20}`]);
    const submit = ["submit", "cut", "small.yaml", "--host", "ssh"];
    const cut = await client.run(submit, { THESEUS_BINARY });
    expect({ code: cut.code, said: cut.stderr }).toEqual({
      code: 4,
      said: expect.stringMatching(/was lost|only in part/),
    });
    const [part = "", ...more] = inWork(client);
    expect(part).toContain(".part-");
    expect(more).toEqual([]);
    const come = statSync(join(client.folder, "work/bin", part)).size;
    expect(come).toBeGreaterThan(2 ** 20);
    expect(existsSync(client.directory("cut"))).toBe(false);

    server.writeClient();
    const again = await client.run(submit, { THESEUS_BINARY });
    expect(again.code).toBe(0);
    expect(again.stderr).toMatch(/copying theseus itself: .*, the first .* are there already/);
    const [whole = "", ...others] = inWork(client);
    expect(others).toEqual([]);
    expect(readFileSync(join(client.folder, "work/bin", whole))).toEqual(
      readFileSync(THESEUS_BINARY),
    );
    await client.ended("cut");

    const third = await client.run(["submit", "third", ...submit.slice(2)], { THESEUS_BINARY });
    expect(third.stderr).not.toContain("copying");
    await client.ended("third");
    // The one that was cut, and one for all that followed.
    expect(server.connections).toBe(2);
  });

  test.concurrent("the server goes away: unknown, never failed; it comes back", async () => {
    const { server, client } = await pair();
    client.hold("away", 3);
    await client.submit("away", "ssh", slow(1100));
    await client.reached("away", 2);
    server.hangUp();
    await server.close();
    const { code, stdout } = await client.run(["status", "away", "--json"]);
    expect({ code, run: JSON.parse(stdout).runs[0] }).toMatchObject({
      code: 4,
      run: {
        state: "unknown",
        reason: expect.stringContaining("cannot reach testhost: it refused the connection"),
      },
    });
    expect(await client.run(["submit", "away", "small.yaml", "--host", "ssh"])).toMatchObject({
      code: 4,
    });
    await server.listen();
    expect(await client.status("away")).toMatchObject({ state: "running" });
    await client.expect(["cancel", "away"]);
    client.release("away");
    await client.ended("away", "cancelled");
  });
});

test.concurrent.if(hasCluster)(
  "this machine's clock is off by a day: no state changes",
  async () => {
    const { client } = await pair();
    for (const by of ["+1d", "-1d"]) {
      const name = `clock${by}`.replace("+", "-plus-");
      const env = clockOff(by);
      client.hold(name, 3);
      const submit = ["submit", name, "small.yaml", "--host", "ssh", "--load", "code/slow.ts"];
      await client.expect([...submit, ...slow(20)], env);
      await client.reached(name, 2);
      const status = async () =>
        JSON.parse(await client.expect(["status", name, "--json"], env)).runs[0];
      const running = await status();
      expect(running).toMatchObject({ state: "running", reason: "" });
      expect(running.submitted_age_s).toBeLessThan(100);
      expect(running.heartbeat_age_s).toBeLessThan(100);
      expect((await client.run(submit, env)).code).toBe(5);
      const columns = ["--csv", "--columns", "run,state"];
      const listed = await client.expect(["runs", "--root", client.root, ...columns], env);
      expect(listed).toContain(`${name},running`);
      client.release(name);
      await client.ended(name);
      expect(await status()).toMatchObject({ state: "finished" });
    }
  },
);

describe.if(hasCluster)("odd login shells", () => {
  test.concurrent("one that prints text, before and after", async () => {
    const { client } = await pair({
      forceCommand: `echo 'Welcome! <<x>>'; /bin/sh -c "$SSH_ORIGINAL_COMMAND"; code=$?; echo bye; exit $code`,
    });
    await client.submit("noise", "ssh", slow(20));
    await client.ended("noise");
    expect(await client.status("noise")).toMatchObject({ state: "finished" });
    expect(await client.expect(["logs", "noise"])).not.toContain("Welcome");
    const check = await client.run(["hosts", "ssh", "--check"]);
    expect(check.stdout).toContain('login shell  prints "Welcome! <<x>>"');
  });

  test.concurrent("one that is no sh", async () => {
    const shell = ["tcsh", "csh", "fish"]
      .map((name) => Bun.which(name))
      .find((path) => path !== null);
    if (shell === undefined)
      throw new Error("neither tcsh nor fish is here: scripts/setup --cluster");
    const { client } = await pair({ forceCommand: `exec ${shell} -c "$SSH_ORIGINAL_COMMAND"` });
    await client.submit("csh", "ssh", slow(20));
    await client.ended("csh");
    expect(await client.expect(["logs", "csh"])).toContain("finished after");
  });

  test.concurrent("no sbatch in its path", async () => {
    const farm = mkdtempSync("/tmp/theseus-path-");
    folders.push(farm);
    const { client } = await pair({
      forceCommand: `PATH=${farm} exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"`,
    });
    for (const tool of ["sh", "head", "printf", "hostname", "id", "nproc", "sed", "dirname"])
      if (!existsSync(join(farm, tool))) symlinkSync(Bun.which(tool) ?? "", join(farm, tool));
    const { code, stderr } = await client.run(["submit", "x", "small.yaml", "--host", "login"]);
    expect({ code, stderr }).toEqual({
      code: 3,
      stderr: expect.stringContaining("login: there is no sbatch"),
    });
  });
});

describe.if(hasCluster)("refusals", () => {
  let server: SshServer;
  let client: Client;
  beforeAll(async () => {
    const small = mount("size=1m");
    const readonly = mount("size=1m,ro");
    ({ server, client } = await pair({ maxSessions: 1 }));
    symlinkSync(small, join(client.folder, "small"));
    symlinkSync(readonly, join(client.folder, "readonly"));
  });
  const refused = async (host = "ssh") => {
    server.hangUp();
    const { code, stderr } = await client.run(["submit", "x", "small.yaml", "--host", host]);
    return { code, stderr };
  };

  test("more sessions at once than one connection may have", async () => {
    const all = await Promise.all([1, 2, 3].map(() => client.run(["hosts", "ssh", "--json"])));
    expect(all.map(({ code }) => code)).toEqual([0, 0, 0]);
  });

  test("another host key", async () => {
    server.trustAnother();
    expect(await refused()).toEqual({
      code: 4,
      stderr: expect.stringContaining("cannot reach testhost: its host key has changed"),
    });
    server.trust("hostkey.pub");
  });

  test("a key that is not accepted", async () => {
    const key = readFileSync(join(server.folder, "authorized"));
    writeFileSync(join(server.folder, "authorized"), "");
    expect(await refused()).toEqual({
      code: 4,
      stderr: expect.stringContaining("it refused to let you in"),
    });
    writeFileSync(join(server.folder, "authorized"), key);
  });

  test("a name that nobody knows", async () => {
    expect(await refused("nobody")).toEqual({
      code: 4,
      stderr: expect.stringContaining("its name is unknown"),
    });
  });

  test("a folder for sockets whose path is too long", async () => {
    const long = join(client.folder, "x".repeat(120));
    mkdirSync(long);
    server.hangUp();
    const { code } = await client.run(["hosts", "ssh", "--json"], { XDG_RUNTIME_DIR: long });
    expect(code).toBe(0);
    server.hangUp(`/tmp/theseus-ssh-${process.getuid?.()}`);
  });

  test("a full work folder: nothing is left there", async () => {
    const { code, stderr } = await client.run(["submit", "x", "small.yaml", "--host", "full"], {
      THESEUS_BINARY: heavyBinary(client),
    });
    expect({ code, stderr }).toEqual({
      code: 4,
      stderr: expect.stringMatching(/cannot write theseus itself to full:.*No space left/),
    });
    expect(readdirSync(join(client.folder, "small/bin"))).toEqual([]);
    expect(existsSync(join(client.folder, "two/runs"))).toBe(false);
  });

  test("a quota that is full: nothing is left", async () => {
    const { client } = await pair({
      forceCommand: `PATH=${quotaFull()}:$PATH exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"`,
    });
    const { code, stderr } = await client.run(["submit", "x", "small.yaml", "--host", "ssh"]);
    expect({ code, stderr }).toEqual({
      code: 4,
      stderr: expect.stringMatching(/cannot write theseus itself to ssh:.*Disk quota exceeded/),
    });
    expect(inWork(client)).toEqual([]);
    expect(existsSync(client.directory("x"))).toBe(false);
  });

  test("a read-only work folder", async () => {
    expect(await refused("readonly")).toEqual({
      code: 3,
      stderr: expect.stringMatching(/readonly: .*readonly\/work cannot be written to/),
    });
  });

  test("unknown host, cluster, chip; a request that no host can meet", async () => {
    const said = async (...args: string[]) => {
      const { code, stderr } = await client.run(["submit", "x", "small.yaml", ...args]);
      return `${code} ${stderr}`;
    };
    expect(await said("--host", "shs")).toContain(
      '2 error: no host is named "shs". Did you mean "ssh"?',
    );
    expect(await said("--cluster", "onee")).toContain(
      '2 error: no cluster is named "onee". Did you mean "one"?',
    );
    expect(await said("--host", "ssh", "--chip", "h100")).toContain(
      '2 error: no host has a chip "h100"',
    );
    const cores = await said("--host", "ssh", "--cpu", "4096");
    expect(cores).toStartWith("3 error: no host can meet the request:");
    expect(cores).toContain("hint: nearest: ssh, has");
  });
});
