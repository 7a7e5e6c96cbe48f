/**
 * @file Hosts that ask: for a password, for a second factor behind the key, whether their key is right. At a terminal the question
 * is ssh's own, once a host; without one the command ends at once and says what to do. A real sshd, and a real terminal.
 */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { hasCluster } from "./available.ts";
import { CLUSTER, Client, slow } from "./client.ts";
import { PASSWORD, type ServerOptions, SshServer } from "./ssh_server.ts";

setDefaultTimeout(60_000);

const HOSTS = `${CLUSTER}hosts:
  ssh: { type: plain, ssh: testhost, cluster: one }
`;

const started: { stop(): unknown }[] = [];
afterAll(async () => {
  for (const each of started) await each.stop();
});

async function pair(asks: ServerOptions["asks"]) {
  const server = await SshServer.start(asks === undefined ? {} : { asks });
  const client = new Client(`ssh_config: ${server.clientConfig}\n${HOSTS}`, {
    XDG_RUNTIME_DIR: server.folder,
  });
  started.push(client, server);
  return { server, client };
}

const count = (text: string, form: RegExp): number => text.match(form)?.length ?? 0;

/** A command at a terminal whose questions are answered as they come. */
async function typed(
  client: Client,
  args: readonly string[],
  answers: readonly [RegExp, string][],
) {
  let shown = "";
  let from = 0;
  const left = [...answers];
  const child = client.startAtTerminal(args, (terminal, data) => {
    shown += Buffer.from(data).toString();
    const [next] = left;
    if (next === undefined || !next[0].test(shown.slice(from))) return;
    left.shift();
    from = shown.length;
    terminal.write(`${next[1]}\n`);
  });
  return { code: await child.exited, shown: shown.replaceAll("\r", "") };
}

describe.if(hasCluster)("a host that asks", () => {
  test.concurrent("for a password: once, for all that follows; without a terminal the end is at once", async () => {
    const { server, client } = await pair("password");
    const begin = performance.now();
    const silent = await client.run(["status", "--host", "ssh"]);
    expect({ code: silent.code, said: silent.stderr }).toEqual({
      code: 4,
      said: expect.stringMatching(
        /^error: cannot reach testhost: it refused to let you in.*\n.*theseus hosts at a terminal/,
      ),
    });
    expect(performance.now() - begin).toBeLessThan(10_000);
    expect(server.connections).toBe(0);

    const submit = ["submit", "asked", "small.yaml", "--host", "ssh", "--load", "code/slow.ts"];
    const first = await typed(client, [...submit, ...slow(20)], [[/password: ?$/, PASSWORD]]);
    expect(first).toEqual({
      code: 0,
      shown: expect.stringContaining("submitted general/default/asked"),
    });
    expect(first.shown).toContain("testhost asks:");
    expect(count(first.shown, /password:/g)).toBe(1);
    // The connection stays, for who has no terminal too.
    await client.ended("asked");
    expect(await client.status("asked")).toMatchObject({ state: "finished" });
    const second = await typed(client, ["hosts", "--check"], []);
    expect(second.shown).not.toContain("password");
    expect(server.connections).toBe(1);
  });

  test.concurrent("for a password, and gets a wrong one", async () => {
    const { client } = await pair("password");
    const wrong: [RegExp, string] = [/password: ?$/, "wrong"];
    const { code, shown } = await typed(client, ["hosts", "--setup", "ssh"], [wrong, wrong, wrong]);
    expect({ code, shown }).toEqual({
      code: 4,
      shown: expect.stringContaining("cannot reach testhost: it refused to let you in"),
    });
    expect(count(shown, /asks:/g)).toBe(1);
  });

  test.concurrent("for a second factor behind the key", async () => {
    const { server, client } = await pair("second factor");
    expect((await client.run(["hosts", "--setup", "ssh"])).code).toBe(4);
    const { code, shown } = await typed(client, ["hosts", "ssh"], [[/Password: ?$/, PASSWORD]]);
    expect({ code, shown }).toEqual({ code: 0, shown: expect.stringContaining("cores") });
    expect(server.connections).toBe(1);
  });

  test.concurrent("whether its key is right", async () => {
    const { server, client } = await pair(undefined);
    writeFileSync(join(server.folder, "known"), "");
    server.writeClient([], "ask");
    const silent = await client.run(["hosts", "--setup", "ssh"]);
    expect({ code: silent.code, said: silent.stderr }).toEqual({
      code: 4,
      said: expect.stringContaining("its host key is not known"),
    });
    const { code, shown } = await typed(client, ["hosts", "ssh"], [[/yes\/no/, "yes"]]);
    expect({ code, shown }).toEqual({ code: 0, shown: expect.stringContaining("cores") });
  });
});
