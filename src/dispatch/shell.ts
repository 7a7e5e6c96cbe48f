/**
 * @file Scripts on a host, this machine or one behind ssh, the same way. What a script prints is framed by a marker line in front
 * and one with its exit code behind, so that a login shell that prints text does no harm and a lost connection is never taken for an answer.
 */
import { randomBytes } from "node:crypto";
import { RemoteError } from "../util/errors.ts";

export interface Reply {
  readonly code: number;
  readonly bytes: Uint8Array;
  readonly stdout: string;
  readonly stderr: string;
  /** What the login shell printed before the script began. */
  readonly noise: string;
}

export interface RunOptions {
  /** What the script reads on its standard input. */
  readonly input?: Uint8Array | Blob;
  readonly timeoutMs?: number;
  /** How much of the input has been taken so far. */
  readonly onSent?: (bytes: number) => void;
  /** What the script says on its error output, as it comes. */
  readonly onErrors?: (text: string) => void;
}

export interface Shell {
  /** For messages. */
  readonly where: string;
  run(script: string, options?: RunOptions): Promise<Reply>;
  /** With this terminal; the exit code. */
  interactive(script: string): Promise<number>;
}

export const TIMEOUT_MS = 60_000;
/** After the program has ended, its messages may still be on their way; a connection that is kept for later holds the pipe open. */
const DRAIN_MS = 200;

export interface Answer {
  readonly code: number;
  readonly bytes: Uint8Array;
  readonly noise: string;
}

export interface Framed {
  readonly script: Uint8Array;
  /** What the host's login shell is given: the script comes on standard input, before what it reads itself. */
  readonly command: string;
  parse(output: Uint8Array): Answer | "began" | "nothing";
}

export function framed(body: string): Framed {
  const nonce = randomBytes(8).toString("hex");
  const [begin, end] = [`<<${nonce}`, `>>${nonce}`];
  const text = `printf '%s\\n' '${begin}'\n(\n${body}\n)\nprintf '\\n%s %d\\n' '${end}' "$?"\n`;
  const script = new TextEncoder().encode(text);
  return {
    script,
    // Nothing here means anything special inside single quotes of sh, csh or fish.
    command: `exec /bin/sh -c 'eval "$(head -c ${script.length})"'`,
    parse(output) {
      const buffer = Buffer.from(output.buffer, output.byteOffset, output.byteLength);
      const from = buffer.indexOf(`${begin}\n`);
      if (from === -1) return "nothing";
      const to = buffer.lastIndexOf(`\n${end} `);
      if (to === -1) return "began";
      const code = Number.parseInt(buffer.toString("latin1", to + end.length + 2), 10);
      const noise = buffer.toString("utf8", 0, from);
      return { code, bytes: buffer.subarray(from + begin.length + 1, to), noise };
    },
  };
}

export interface Ended {
  readonly output: Uint8Array;
  readonly errors: string;
  readonly code: number;
  readonly timedOut: boolean;
}

async function collect(
  stream: ReadableStream<Uint8Array>,
  into: Uint8Array[],
  each?: (text: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  for await (const part of stream) {
    into.push(part);
    each?.(decoder.decode(part, { stream: true }));
  }
}

const PIECE = 65_536;

function* pieces(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE);
}

/** A host that hangs up half-way says so by its answer, not by an error of the pipe. */
async function feed(
  pipe: Bun.FileSink,
  script: Uint8Array,
  { input = new Uint8Array(), onSent }: RunOptions,
): Promise<void> {
  let sent = 0;
  try {
    pipe.write(script);
    for await (const part of input instanceof Blob ? input.stream() : pieces(input)) {
      pipe.write(part);
      // Ends only when the other side has taken it.
      await pipe.flush();
      sent += part.length;
      onSent?.(sent);
    }
    await pipe.end();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPIPE") throw error;
  }
}

/** Runs a program with the framed script and what follows it on its standard input. */
export async function drive(
  program: readonly string[],
  frame: Framed,
  options: RunOptions,
): Promise<Ended> {
  const child = Bun.spawn([...program], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill("SIGKILL");
  }, options.timeoutMs ?? TIMEOUT_MS);
  const [output, errors]: [Uint8Array[], Uint8Array[]] = [[], []];
  const reading = Promise.all([
    collect(child.stdout, output),
    collect(child.stderr, errors, options.onErrors),
  ]);
  const fed = feed(child.stdin, frame.script, options);
  const code = await child.exited;
  clearTimeout(timer);
  await Promise.race([fed, Bun.sleep(DRAIN_MS)]);
  await Promise.race([reading, Bun.sleep(DRAIN_MS)]);
  return {
    output: Buffer.concat(output),
    errors: Buffer.concat(errors).toString(),
    code,
    timedOut,
  };
}

export const replyOf = ({ code, bytes, noise }: Answer, stderr: string): Reply => ({
  code,
  bytes,
  noise,
  stdout: Buffer.from(bytes).toString(),
  stderr,
});

export class LocalShell implements Shell {
  readonly where = "this machine";

  async run(script: string, options: RunOptions = {}): Promise<Reply> {
    const frame = framed(script);
    const ended = await drive(["/bin/sh", "-c", frame.command], frame, options);
    const parsed = frame.parse(ended.output);
    if (typeof parsed === "string")
      throw new RemoteError(
        `a command on this machine ${ended.timedOut ? "took too long" : "was killed"}`,
      );
    return replyOf(parsed, ended.errors);
  }

  async interactive(script: string): Promise<number> {
    const stdio = ["inherit", "inherit", "inherit"] as const;
    return Bun.spawn(["/bin/sh", "-c", script], { stdio: [...stdio] }).exited;
  }
}
