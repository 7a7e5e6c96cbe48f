/** @file theseus chat at a real terminal (a pseudo-terminal), and from a pipe. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { Workplace } from "./command_line.ts";

setDefaultTimeout(60_000);
const place = new Workplace();
afterAll(() => place.remove());
const MAIN = join(import.meta.dir, "../../src/main.ts");

/** A context long enough for an answer to be stopped. */
const CONFIG = `job: gpt/pretrain
architecture: { n_layer: 2, n_head: 2, n_embd: 32, block_size: 2048 }
training: { steps: 2, per_device_batch_size: 1, warmup_steps: 1, threads: 1 }
validation: { interval: 0 }
`;

beforeAll(async () => {
  place.file("run.yaml", CONFIG);
  expect(await place.run(["run", "first", "run.yaml"])).toMatchObject({ code: 0 });
});

/** A terminal with a chat in it: what it shows, and keys that are typed. */
class Screen {
  shown = "";
  private seen = 0;
  readonly child: Bun.Subprocess;

  constructor(...args: string[]) {
    const decoder = new TextDecoder();
    this.child = Bun.spawn([process.execPath, MAIN, "chat", "first", ...args], {
      cwd: place.path,
      env: { ...process.env, NO_COLOR: "1", THESEUS_ROOT: "", TERM: "xterm" },
      terminal: {
        cols: 200,
        rows: 50,
        data: (_, bytes) => {
          this.shown += decoder.decode(bytes, { stream: true });
        },
      },
    });
  }

  type(keys: string): void {
    this.child.terminal?.write(keys);
  }

  /** Waits until `text` is shown behind what was waited for before. */
  async until(text: string | RegExp): Promise<string> {
    for (let i = 0; i < 2000; i++) {
      const rest = this.shown.slice(this.seen);
      const found = typeof text === "string" ? rest.indexOf(text) : rest.search(text);
      if (found !== -1) {
        this.seen += found + (typeof text === "string" ? text.length : 1);
        return rest.slice(0, found);
      }
      await Bun.sleep(10);
    }
    throw new Error(`never shown: ${text}\n${JSON.stringify(this.shown)}`);
  }
}

test("a chat at a terminal: commands, a stopped answer, the end", async () => {
  const screen = new Screen("--temperature", "1");
  await screen.until("/help lists commands");
  await screen.until("> ");
  screen.type("/help\r");
  await screen.until("Ctrl-C stops an answer");
  await screen.until("> ");
  screen.type("/system Be short.\r");
  await screen.until("with the instructions: Be short.");
  await screen.until("> ");
  screen.type("/nonsense\r");
  await screen.until("unknown command /nonsense");
  await screen.until("> ");
  screen.type("Hello\r");
  await screen.until("Hello");
  // The answer begins, and would be two thousand bytes long.
  await screen.until(/\n(.|\s){20}/);
  screen.type("\x03");
  const rest = await screen.until("> ");
  expect(rest.length).toBeLessThan(1900);
  // Ctrl-C on a line clears it; on an empty one it ends.
  screen.type("half a line\x03");
  await screen.until("> ");
  screen.type("/reset\r");
  await screen.until("a new conversation, with the instructions: Be short.");
  await screen.until("> ");
  screen.type("/quit\r");
  expect(await screen.child.exited).toBe(0);
});

test("Ctrl-D ends it, and so does Ctrl-C on an empty line", async () => {
  for (const key of ["\x04", "\x03"]) {
    const screen = new Screen();
    await screen.until("/help lists commands");
    await screen.until("> ");
    screen.type(key);
    expect(await screen.child.exited).toBe(0);
  }
});

test("the template beside the weights is the model's own", async () => {
  await place.run(["checkpoint", "export", "first", "weights"]);
  const raised = "{{ raise_exception('my own template') }}";
  place.file("weights/chat_template.jinja", raised);
  const child = Bun.spawn([process.execPath, MAIN, "chat", "weights"], {
    ...{ cwd: place.path, env: { ...process.env, NO_COLOR: "1" }, stderr: "pipe" },
    stdin: new TextEncoder().encode("Hello\n"),
  });
  const said = await new Response(child.stderr).text();
  expect(await child.exited).not.toBe(0);
  expect(said).toContain("my own template");
});

test("lines from a pipe are answered one by one, as JSON where that is asked for", async () => {
  const child = Bun.spawn(
    [process.execPath, MAIN, "chat", "first", "--json", "--tokens", "9", "--temperature", "0"],
    {
      cwd: place.path,
      env: { ...process.env, NO_COLOR: "1", THESEUS_ROOT: "" },
      stdin: new TextEncoder().encode("Hello\n\nAgain\n"),
      stderr: "pipe",
    },
  );
  const lines = (await new Response(child.stdout).text()).trimEnd().split("\n");
  expect(await child.exited).toBe(0);
  expect(lines.length).toBe(2);
  for (const line of lines)
    expect(JSON.parse(line)).toMatchObject({ schema_version: 1, role: "assistant", tokens: 9 });
});
