/**
 * @file hosts --setup over a real sshd: libraries go to a host once, by their content, and jobs find them. The libraries are small
 * stand-ins; docs/log.md says how NVIDIA's own went.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, readlinkSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { cudaLibraryFolders } from "../../src/runtime/index.ts";
import { hasCluster } from "./available.ts";
import { CLUSTER, Client, slow } from "./client.ts";
import { SshServer } from "./ssh_server.ts";

setDefaultTimeout(60_000);

const HOSTS = `${CLUSTER}  two: { root: FOLDER/two, work: FOLDER/work2 }
hosts:
  ssh: { type: plain, ssh: testhost, cluster: one, chips: { h100: 1 } }
  cpus: { type: plain, ssh: testhost, cluster: two }
`;

/** Of NVIDIA's own on this machine. */
const here = cudaLibraryFolders().filter((folder) =>
  ["libcublasLt.so.13", "libnccl.so.2"].some((name) =>
    existsSync(join(folder || "/usr/lib", name)),
  ),
);

let server: SshServer;
let client: Client;
beforeAll(async () => {
  if (!hasCluster) return;
  server = await SshServer.start();
  client = new Client(`ssh_config: ${server.clientConfig}\n${HOSTS}`, {
    XDG_RUNTIME_DIR: server.folder,
  });
});
afterAll(async () => {
  client?.stop();
  await server?.stop();
});

const setUp = async (host = "ssh") => {
  const THESEUS_CUDA_LIBRARIES = `${client.folder}/none:${client.folder}/cuda`;
  const args = ["hosts", "--setup", host, "--json"];
  const { code, stdout, stderr } = await client.run(args, { THESEUS_CUDA_LIBRARIES });
  const { settled } = JSON.parse(stdout) as {
    settled: { what: string; state: string; target: string; bytes: number }[];
  };
  const states = settled.map(({ what, state, bytes }) => `${what} ${state} ${bytes}`);
  return { code, stderr, settled, states };
};
const lib = (): string => join(client.folder, "work/lib");
const brought = (name: string): string => readFileSync(join(lib(), name), "latin1");

describe.if(hasCluster)("hosts --setup", () => {
  test.if(here.length === 0)("what is neither here nor there is told", async () => {
    const { code, states, stderr } = await setUp();
    expect({ code, states: states.slice(1) }).toEqual({
      code: 0,
      states: ["libcublasLt.so.13 missing 0", "libnccl.so.2 missing 0"],
    });
    expect(stderr).toContain(
      "libcublasLt.so.13 is neither there nor here; the Python package nvidia-cublas brings it",
    );
  });

  test("copied once, by content; a newer one takes its place, and jobs find it", async () => {
    client.file("cuda/libcublasLt.so.13", "first ".repeat(50_000));
    client.file("cuda/libnccl.so.2.32.3", "nccl ".repeat(1000));
    symlinkSync("libnccl.so.2.32.3", join(client.folder, "cuda/libnccl.so.2"));
    const first = await setUp();
    expect(first.states.slice(1)).toEqual([
      "libcublasLt.so.13 copied 300000",
      "libnccl.so.2 copied 5000",
    ]);
    expect(readlinkSync(join(lib(), "libnccl.so.2"))).toMatch(
      /\/by-content\/[0-9a-f]{16}-libnccl\.so\.2\.32\.3$/,
    );
    expect(brought("libcublasLt.so.13")).toBe("first ".repeat(50_000));
    expect((await setUp()).states.map((text) => text.split(" ").slice(1).join(" "))).toEqual([
      ...["here 0", "here 0", "here 0"],
    ]);

    client.file("cuda/libcublasLt.so.13", "second");
    expect((await setUp()).states.slice(1)).toEqual([
      "libcublasLt.so.13 copied 6",
      "libnccl.so.2 here 0",
    ]);
    expect(brought("libcublasLt.so.13")).toBe("second");
    // A job that is at work with the older one keeps it.
    expect(readdirSync(join(lib(), "by-content"))).toHaveLength(3);

    client.hold("finds", 2);
    await client.submit("finds", "ssh", [...slow(20), "--env", "THESEUS_CUDA_LIBRARIES=/mine"]);
    await client.reached("finds", 2);
    const { pid } = JSON.parse(
      readFileSync(join(client.directory("finds"), "heartbeat.json"), "utf8"),
    );
    const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
    expect(environment).toContain(`THESEUS_CUDA_LIBRARIES=/mine:${lib()}`);
    client.release("finds");
    await client.ended("finds");
  });

  test("a host without devices needs none", async () => {
    expect((await setUp("cpus")).states).toHaveLength(1);
    expect(readdirSync(join(client.folder, "work2"))).toEqual(["bin"]);
  });
});
