/** @file A real sshd on the loopback interface with keys and configuration of its own, and the configuration of a client for it. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { QUIET_LOGIN, tied } from "./slurm_cluster.ts";

const START_MS = 10_000;

export interface ServerOptions {
  /** Set in every session. */
  readonly env?: Readonly<Record<string, string>>;
  readonly maxSessions?: number;
  /** Instead of what the client asks for: `$SSH_ORIGINAL_COMMAND` holds that. */
  readonly forceCommand?: string;
  /** What it asks for instead of a key, or besides one. */
  readonly asks?: "password" | "second factor";
}

/** Of whoever runs the tests, in sshd's own view of the system alone. */
export const PASSWORD = "open-sesame";
const PASSWORD_HASH =
  "$6$theseus$4nynoZaRYmL1qhgW1m0.w/9G9xBULaMxyimnPbzdgBVgeQR18z0/ngKeTkkRzXPz2oQeiEOb3rlbKLIZl0jxJ1";
const PAM = `auth required pam_unix.so
account required pam_permit.so
session required pam_permit.so
`;

export class SshServer {
  /** As the dispatch file calls the host. */
  static readonly HOST = "testhost";
  /** Short: sockets live below it. */
  readonly folder = mkdtempSync("/tmp/th-");
  readonly clientConfig = join(this.folder, "config");
  readonly port: number;
  private readonly options: ServerOptions;
  private child: Bun.Subprocess | undefined;

  private constructor(options: ServerOptions) {
    this.options = options;
    const free = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    this.port = free.port;
    free.stop(true);
  }

  static async start(options: ServerOptions = {}): Promise<SshServer> {
    const server = new SshServer(options);
    try {
      server.prepare();
      await server.listen();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  private key(name: string): void {
    Bun.spawnSync(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", join(this.folder, name)]);
  }

  private prepare(): void {
    const { folder, port, options } = this;
    mkdirSync("/run/sshd", { recursive: true });
    this.key("hostkey");
    this.key("id");
    writeFileSync(join(folder, "authorized"), readFileSync(join(folder, "id.pub")), {
      mode: 0o600,
    });
    const env = Object.entries(options.env ?? {}).map(([key, value]) => `${key}=${value}`);
    const lines = [
      ...[`Port ${port}`, "ListenAddress 127.0.0.1", `HostKey ${folder}/hostkey`],
      ...[`AuthorizedKeysFile ${folder}/authorized`, "StrictModes no", "PidFile none"],
      ...["PrintMotd no", "MaxStartups 100", "LogLevel VERBOSE", ...this.authentication()],
      `MaxSessions ${options.maxSessions ?? 50}`,
      ...(env.length === 0 ? [] : [`SetEnv ${env.join(" ")}`]),
      ...(options.forceCommand === undefined ? [] : [`ForceCommand ${options.forceCommand}`]),
    ];
    writeFileSync(join(folder, "sshd_config"), `${lines.join("\n")}\n`);
    this.trust("hostkey.pub");
    this.writeClient();
  }

  private authentication(): string[] {
    const { asks } = this.options;
    if (asks === undefined)
      return [
        ...["UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no"],
        "PermitRootLogin prohibit-password",
      ];
    writeFileSync(join(this.folder, "pam"), PAM);
    const line = (text: string): string =>
      text.startsWith("root:") ? `root:${PASSWORD_HASH}:19000:0:99999:7:::` : text;
    const shadow = readFileSync("/etc/shadow", "utf8").split("\n").map(line).join("\n");
    writeFileSync(join(this.folder, "shadow"), shadow, { mode: 0o600 });
    return asks === "password"
      ? ["UsePAM no", "PermitRootLogin yes", "AuthenticationMethods password"]
      : [
          "UsePAM yes",
          "PermitRootLogin yes",
          "AuthenticationMethods publickey,keyboard-interactive",
        ];
  }

  /** The system's files that sshd reads, as only it sees them. */
  private ownFiles(): string {
    if (this.options.asks === undefined) return ":";
    const { folder } = this;
    return `mount --bind ${folder}/shadow /etc/shadow && mount --bind ${folder}/pam /etc/pam.d/sshd`;
  }

  /** What the client takes for the server's key. */
  trust(publicKey: string): void {
    const [type, key] = readFileSync(join(this.folder, publicKey), "utf8").split(" ");
    writeFileSync(join(this.folder, "known"), `[127.0.0.1]:${this.port} ${type} ${key}\n`);
  }

  /** Another key than the server's, as if the host had been replaced. */
  trustAnother(): void {
    this.key("other");
    this.trust("other.pub");
  }

  writeClient(more: readonly string[] = [], check: "yes" | "ask" = "yes"): void {
    const { folder, port } = this;
    const lines = [
      ...[`Host ${SshServer.HOST}`, "HostName 127.0.0.1", `Port ${port}`],
      ...[
        `User ${Bun.spawnSync(["id", "-un"]).stdout.toString().trim()}`,
        `IdentityFile ${folder}/id`,
        "IdentitiesOnly yes",
      ],
      ...[`UserKnownHostsFile ${folder}/known`, `StrictHostKeyChecking ${check}`],
      ...more,
    ];
    writeFileSync(this.clientConfig, `${lines.join("\n")}\n`);
  }

  async listen(): Promise<void> {
    const { folder, port } = this;
    const out = Bun.file(join(folder, "sshd.out"));
    const sshd = `exec /usr/sbin/sshd -D -f ${folder}/sshd_config -E ${folder}/sshd.log`;
    const words = [
      "unshare",
      "--mount",
      "bash",
      "-c",
      `${QUIET_LOGIN}; ${this.ownFiles()}; ${sshd}`,
    ];
    this.child = Bun.spawn(tied(words), { stdin: "ignore", stdout: out, stderr: out });
    const end = Date.now() + START_MS;
    for (;;) {
      try {
        (await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } })).end();
        return;
      } catch {
        if (Date.now() > end)
          throw new Error(
            `sshd does not listen: ${readFileSync(join(folder, "sshd.log"), "utf8")}`,
          );
        await Bun.sleep(20);
      }
    }
  }

  get log(): string {
    const path = join(this.folder, "sshd.log");
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  }

  /** Connections that were let in so far. */
  get connections(): number {
    return this.log.match(/Accepted (publickey|password|keyboard-interactive)/g)?.length ?? 0;
  }

  /** Ends connections that clients keep. */
  hangUp(folder = join(this.folder, "theseus")): void {
    for (const name of existsSync(folder) ? readdirSync(folder) : [])
      Bun.spawnSync(
        ["ssh", "-F", this.clientConfig, "-S", join(folder, name), "-O", "exit", SshServer.HOST],
        { stderr: "ignore" },
      );
  }

  async close(): Promise<void> {
    this.child?.kill("SIGKILL");
    await this.child?.exited;
    this.child = undefined;
  }

  async stop(): Promise<void> {
    this.hangUp();
    await this.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
