/**
 * @file The user's own ssh with the user's own configuration, over one connection a host that is kept for a minute. An exit code of
 * 255 may be ssh's or the command's: only the frame around the output tells whether the command ran.
 */
import { chmodSync, lstatSync, mkdirSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { RemoteError, UserError } from "../util/errors.ts";
import {
  drive,
  type Ended,
  framed,
  type Reply,
  type RunOptions,
  replyOf,
  type Shell,
} from "./shell.ts";

/** ssh makes `%C` forty letters long and adds seventeen for a moment; a socket's path may have 103. */
const SOCKET_PATH_MAX = 103 - 40 - 17 - 1;
const CONNECT_S = 15;
const PERSIST_S = 60;

/** A short folder of this user alone for the sockets. */
function controlFolder(): string {
  const uid = userInfo().uid;
  const runtime = process.env.XDG_RUNTIME_DIR;
  const wanted = runtime ? join(runtime, "theseus") : join(tmpdir(), `theseus-ssh-${uid}`);
  const folder = wanted.length <= SOCKET_PATH_MAX ? wanted : `/tmp/theseus-ssh-${uid}`;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stat = lstatSync(folder);
  if (!stat.isDirectory() || stat.uid !== uid)
    throw new UserError(`${folder} belongs to somebody else`, {
      hint: "connections of ssh are kept there; set XDG_RUNTIME_DIR to another folder",
    });
  chmodSync(folder, 0o700);
  return folder;
}

/** Reasons that ssh gives, and what to do about each. */
const REASONS: readonly (readonly [RegExp, string, string])[] = [
  [
    /REMOTE HOST IDENTIFICATION HAS CHANGED/,
    "its host key has changed",
    "if that is expected, remove the old key with ssh-keygen -R; otherwise ask its administrator",
  ],
  [
    /Host key verification failed/,
    "its host key is not known",
    "connect once with ssh by hand and check the key",
  ],
  [
    /Permission denied|Too many authentication failures/,
    "it refused to let you in",
    "ssh must work without a password or a second factor: load your key into ssh-agent, or keep a connection open by hand",
  ],
  [
    /Could not resolve hostname/,
    "its name is unknown",
    "check `ssh:` of the host and ~/.ssh/config",
  ],
  [/Connection refused/, "it refused the connection", "is sshd running there, on that port?"],
  [
    /timed out|No route to host|Network is unreachable/,
    "it does not answer",
    "is it up, and is the VPN on?",
  ],
  [
    /unix_listener|ControlPath too long|path too long/,
    "the path of ssh's socket is too long",
    "set XDG_RUNTIME_DIR to a short folder",
  ],
];

export class SshShell implements Shell {
  readonly where: string;
  private readonly host: string;
  private readonly config: string | null;

  constructor(host: string, config: string | null) {
    this.host = host;
    this.config = config;
    this.where = host;
  }

  private program(extra: readonly string[], shared: boolean): string[] {
    const control = join(controlFolder(), "%C");
    const sharing = [
      ...["ControlMaster=auto", `ControlPath=${control}`, `ControlPersist=${PERSIST_S}`],
    ];
    const options = [
      ...["BatchMode=yes", `ConnectTimeout=${CONNECT_S}`, "ServerAliveInterval=15"],
      ...["ServerAliveCountMax=4", "LogLevel=ERROR", "ForwardX11=no", "ClearAllForwardings=yes"],
      ...(shared ? sharing : ["ControlPath=none"]),
    ].flatMap((option) => ["-o", option]);
    const config = this.config === null ? [] : ["-F", this.config];
    return ["ssh", ...config, ...options, ...extra, "--", this.host];
  }

  async run(script: string, options: RunOptions = {}): Promise<Reply> {
    let shared = true;
    for (;;) {
      const frame = framed(script);
      const ended = await drive([...this.program(["-T"], shared), frame.command], frame, options);
      const parsed = frame.parse(ended.output);
      if (typeof parsed !== "string") return replyOf(parsed, ended.errors);
      // The server takes only so many sessions over one connection; the command never began.
      const full = /open refused by peer|session request failed|mux_client/.test(ended.errors);
      if (parsed === "began" || !shared || !full) throw this.failure(ended, parsed === "began");
      shared = false;
    }
  }

  private failure({ errors, code, timedOut }: Ended, began: boolean): RemoteError {
    const said = errors.trim().split("\n").at(-1) ?? "";
    const reason = REASONS.find(([pattern]) => pattern.test(errors));
    if (reason !== undefined && !began)
      return new RemoteError(
        `cannot reach ${this.host}: ${reason[1]}${said === "" ? "" : ` (${said})`}`,
        {
          hint: reason[2],
        },
      );
    if (timedOut) return new RemoteError(`${this.host} took too long to answer`);
    const what = began
      ? `the connection to ${this.host} was lost while a command ran there: it may have had its effect or not`
      : `ssh ${this.host} ended with exit code ${code} before the command began`;
    return new RemoteError(said === "" ? what : `${what} (${said})`, {
      hint: "the same command again is safe",
    });
  }

  async interactive(script: string): Promise<number> {
    const tty = process.stdin.isTTY ? ["-t"] : ["-T"];
    const quoted = `exec /bin/sh -c '${script.replaceAll("'", `'\\''`)}'`;
    return Bun.spawn([...this.program(tty, true), quoted], {
      stdio: ["inherit", "inherit", "inherit"],
    }).exited;
  }
}
