/**
 * @file The user's own ssh with the user's own configuration, over one connection a host that is kept for a minute. An exit code of
 * 255 may be ssh's or the command's: only the frame around the output tells whether the command ran. A host that asks for a
 * password, a second factor or a look at its key asks at the terminal, once, when its connection is opened.
 */
import { chmodSync, lstatSync, mkdirSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { RemoteError, UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
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
/** A connection that somebody had to type for is kept longer. */
const ASKED_PERSIST_S = 3600;
/** While all sessions of such a connection are taken, none can be opened beside it. */
const BUSY_MS = 200;
const BUSY_TRIES = 150;

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
    "run theseus hosts at a terminal, or ssh by hand, and check the key",
  ],
  [
    /Permission denied|Too many authentication failures/,
    "it refused to let you in",
    "without a terminal nobody can be asked: load your key into ssh-agent, or run theseus hosts at a terminal first",
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

/** What somebody at a terminal may be able to answer. */
const ASKS = /Permission denied|Host key verification failed/;
const NO_QUESTION = /REMOTE HOST IDENTIFICATION HAS CHANGED/;

const atTerminal = (): boolean => process.stdin.isTTY === true && process.stderr.isTTY === true;

/** Prompts come one after another, and at most once a host. */
let prompting: Promise<unknown> = Promise.resolve();
const prompted = new Map<string, Promise<boolean>>();

export class SshShell implements Shell {
  readonly where: string;
  private readonly host: string;
  private readonly config: string | null;

  constructor(host: string, config: string | null) {
    this.host = host;
    this.config = config;
    this.where = host;
  }

  private program(extra: readonly string[], more: readonly string[]): string[] {
    const options = [
      ...[`ConnectTimeout=${CONNECT_S}`, "ServerAliveInterval=15", "ServerAliveCountMax=4"],
      ...["ForwardX11=no", "ClearAllForwardings=yes", ...more],
    ].flatMap((option) => ["-o", option]);
    const config = this.config === null ? [] : ["-F", this.config];
    return ["ssh", ...config, ...options, ...extra, "--", this.host];
  }

  /** Asks nobody anything. */
  private quiet(extra: readonly string[], shared: boolean): string[] {
    const sharing = [...this.sharing(PERSIST_S), "ControlMaster=auto"];
    const more = ["BatchMode=yes", "LogLevel=ERROR", ...(shared ? sharing : ["ControlPath=none"])];
    return this.program(extra, more);
  }

  private sharing(seconds: number): string[] {
    return [`ControlPath=${join(controlFolder(), "%C")}`, `ControlPersist=${seconds}`];
  }

  /** Opens the connection that all further commands go over, with whatever ssh wants to know from whoever sits here. */
  private ask(): Promise<boolean> {
    const key = `${this.config} ${this.host}`;
    const before = prompted.get(key);
    if (before !== undefined) return before;
    const open = async (): Promise<boolean> => {
      log.info(`${this.host} asks:`);
      const more = [...this.sharing(ASKED_PERSIST_S), "ControlMaster=yes", "BatchMode=no"];
      // The terminal is ssh's own business: it opens /dev/tty.
      const child = Bun.spawn(this.program(["-N", "-f"], more), {
        stdio: ["inherit", "ignore", "inherit"],
      });
      return (await child.exited) === 0;
    };
    const asked = prompting.then(open);
    prompting = asked;
    prompted.set(key, asked);
    return asked;
  }

  async run(script: string, options: RunOptions = {}): Promise<Reply> {
    let shared = true;
    for (let tries = 0; ; tries++) {
      const frame = framed(script);
      const ended = await drive([...this.quiet(["-T"], shared), frame.command], frame, options);
      const parsed = frame.parse(ended.output);
      if (typeof parsed !== "string") return replyOf(parsed, ended.errors);
      const began = parsed === "began";
      const retry: { readonly shared: boolean } | null = began
        ? null
        : await this.otherWay(ended.errors, shared, tries);
      if (retry === null) throw this.failure(ended, began);
      ({ shared } = retry);
    }
  }

  /** After a command that never began: whether it is worth another try, and how; null: it is not. */
  private async otherWay(
    errors: string,
    shared: boolean,
    tries: number,
  ): Promise<{ readonly shared: boolean } | null> {
    // The server takes only so many sessions over one connection.
    if (shared && /open refused by peer|session request failed|mux_client/.test(errors))
      return { shared: false };
    if (!ASKS.test(errors) || NO_QUESTION.test(errors)) return null;
    if (!shared && tries < BUSY_TRIES) {
      await Bun.sleep(BUSY_MS);
      return { shared: true };
    }
    return atTerminal() && tries === 0 && (await this.ask()) ? { shared: true } : null;
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
    return Bun.spawn([...this.quiet(tty, true), quoted], {
      stdio: ["inherit", "inherit", "inherit"],
    }).exited;
  }
}
