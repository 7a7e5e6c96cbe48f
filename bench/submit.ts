/**
 * @file `bun bench/submit.ts`: how long `theseus submit` takes over a real sshd on this machine, with dist/theseus as the executable:
 * the first time (it is sent), over a connection that is open, and both with 50 ms of round-trip time.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CLUSTER, Client } from "../tests/dispatch/client.ts";
import { SshServer } from "../tests/dispatch/ssh_server.ts";

const BINARY = join(import.meta.dir, "../dist/theseus");
const RELAY = join(import.meta.dir, "../tests/dispatch/relay.ts");
const ROUND_TRIP_MS = 50;
const REPEATS = 5;

if (!existsSync(BINARY)) throw new Error("there is no dist/theseus: bun scripts/build.ts");

async function timed(client: Client, name: string): Promise<number> {
  const args = ["submit", name, "small.yaml", "--host", "ssh", "training.steps=2"];
  const begin = performance.now();
  const child = Bun.spawn([BINARY, ...args], {
    ...{ cwd: client.folder, env: client.env, stdin: "ignore", stdout: "ignore", stderr: "pipe" },
  });
  const code = await child.exited;
  if (code !== 0) throw new Error(await new Response(child.stderr).text());
  return (performance.now() - begin) / 1000;
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

async function measure(title: string, more: (server: SshServer) => readonly string[]) {
  const server = await SshServer.start();
  const hosts = `ssh_config: ${server.clientConfig}\n${CLUSTER}hosts:\n  ssh: { type: plain, ssh: testhost, cluster: one }\n`;
  const client = new Client(hosts, { XDG_RUNTIME_DIR: server.folder, THESEUS_BINARY: BINARY });
  try {
    await timed(client, "warm-up");
    server.hangUp();
    server.writeClient(more(server));
    const cold = await timed(client, "cold");
    const warm: number[] = [];
    for (let i = 0; i < REPEATS; i++) warm.push(await timed(client, `warm-${i}`));
    console.log(
      `${title}: ${median(warm).toFixed(2)} s warm (median of ${REPEATS}), ${cold.toFixed(2)} s with a new connection`,
    );
  } finally {
    client.stop();
    await server.stop();
  }
}

await measure("loopback", () => []);
const delay = ROUND_TRIP_MS / 2;
await measure(`${ROUND_TRIP_MS} ms round trip`, ({ port }) => [
  `ProxyCommand ${process.execPath} ${RELAY} ${port} ${delay}`,
]);
