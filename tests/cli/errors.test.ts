/** @file Every mistake on a command line and in a configuration: what is said, and the exit code. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Workplace } from "./command_line.ts";

setDefaultTimeout(60_000);
const place = new Workplace();
beforeAll(() => {
  place.file("good.yaml", "job: gpt/pretrain\ntraining:\n  steps: 3\n");
});
afterAll(() => place.remove());

const COMMAND_LINES: Readonly<Record<string, readonly string[]>> = {
  "an unknown command, nearly right": ["sampel"],
  "an unknown command, far off": ["xyzzy"],
  "help for an unknown command": ["help", "runz"],
  "an unknown option, nearly right": ["run", "a", "good.yaml", "--frsh"],
  "an unknown option, far off": ["runs", "--xyzzy"],
  "an unknown short option": ["run", "a", "good.yaml", "-x"],
  "an option without its value": ["run", "a", "good.yaml", "--root"],
  "an option whose value is the next option": ["run", "a", "good.yaml", "--root", "--fresh"],
  "an option with an empty value": ["run", "a", "good.yaml", "--root="],
  "a switch with a value": ["run", "a", "good.yaml", "--fresh=yes"],
  "too few arguments": ["run", "a"],
  "nowhere to write a configuration": ["configure", "gpt/pretrain"],
  "too many arguments": ["doctor", "now"],
  "two arguments for one": ["show", "a", "b", "c"],
  "no run to plot": ["plot"],
  "an unknown shell": ["completions", "tcsh"],
  "a missing root to clean": ["clean", "nowhere"],
  "an override where none is taken": ["runs", "a", "training.steps=3"],
  "an override of a path that does not exist": ["plan", "good.yaml", "training.stepz=3"],
  "an override of a path far off": ["plan", "good.yaml", "xyzzy.plugh=3"],
  "an override of a wrong type": ["plan", "good.yaml", "training.steps=many"],
  "an override that is no YAML": ["plan", "good.yaml", "training.betas=[1"],
  "an override of a group": ["plan", "good.yaml", "training=3"],
  "a missing preset": ["plan", "gpt/tiny-soto"],
  "a missing file": ["plan", "nothing.yaml"],
  "a folder as configuration": ["plan", "."],
  "an unknown job": ["configure", "gpt/pretrian", "-"],
  "a preset of another job": ["configure", "gpt/pretrain", "-", "--from", "nowhere"],
  "an existing file": ["configure", "gpt/pretrain", "good.yaml"],
  "a name that is no name": ["run", "../up", "good.yaml"],
  "a missing run": ["show", "nobody"],
  "a missing run to sample from": ["sample", "nobody", "We"],
  "a temperature that is no number": ["sample", "nobody", "We", "--temperature", "hot"],
  "a missing script": ["script", "nothing.ts"],
  "a missing file of the user's": ["jobs", "--load", "nothing.ts"],
  "an unknown metric": ["plot", "nobody", "--metric", "joy"],
};

describe("a wrong command line", () => {
  for (const [name, args] of Object.entries(COMMAND_LINES))
    test(name, async () => expect(await place.said(args)).toMatchSnapshot());
});

const billionLaughs = [
  "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]",
  ..."bcdefghi".split("").map((name, i) => {
    const before = "abcdefgh"[i];
    return `${name}: &${name} [${Array(9).fill(`*${before}`).join(", ")}]`;
  }),
].join("\n");

const CONFIGURATIONS: Readonly<Record<string, string>> = {
  "an unknown key, nearly right": "training:\n  stepz: 3\n",
  "an unknown key in the wrong group": "architecture:\n  steps: 3\n",
  "an unknown group": "trainings:\n  steps: 3\n",
  "a wrong type": "training:\n  steps: many\n",
  "a float for an integer": "training:\n  steps: 1.5\n",
  "below the range": "training:\n  steps: 0\n",
  "a huge integer": "training:\n  steps: 99999999999999999999\n",
  "not one of the choices": "training:\n  precision: f16\n",
  "a list of a wrong length": "training:\n  betas: [0.9]\n",
  "a map for a value": "training:\n  steps: { a: 1 }\n",
  "a value for a group": "training: 3\n",
  NaN: "training:\n  learning_rate: .nan\n",
  infinity: "training:\n  learning_rate: .inf\n",
  "a tab": "training:\n\tsteps: 3\n",
  "a key twice": "training:\n  steps: 3\n  steps: 4\n",
  "a group twice": "training:\n  steps: 3\ntraining:\n  steps: 4\n",
  "no map": "- 1\n- 2\n",
  "a plain text": "hello\n",
  "an open bracket": "training: { steps: 3\n",
  "an alias of nothing": "training:\n  steps: *here\n",
  "an alias of nothing in a list": "training:\n  betas: [0.9, *here]\n",
  "a map that is its own alias": "training: &t\n  steps: *t\n",
  "an alias bomb": `${billionLaughs}\n`,
  "a tag that nobody knows": "training:\n  steps: !!js/function 'x'\n",
  "two documents": "training:\n  steps: 3\n---\ntraining:\n  steps: 4\n",
  "an unknown job": "job: gpt/pretrian\n",
  "a job that is no text": "job: 3\n",
  "extends nothing known": "extends: gpt/huge\n",
  "extends a number": "extends: 3\n",
  "extends itself": "extends: case.yaml\n",
  "heads that do not divide the width": "architecture:\n  n_head: 5\n  n_embd: 32\n",
  "many mistakes at once":
    "training:\n  steps: -1\n  stepz: 3\nfoo: 1\nvalidation: { interval: x }\n",
};

describe("a wrong configuration", () => {
  for (const [name, text] of Object.entries(CONFIGURATIONS))
    test(name, async () => {
      place.file("case.yaml", text);
      const said = await place.said(["plan", "case.yaml"]);
      expect(said).toStartWith("exit 2");
      expect(said).toMatchSnapshot();
    });
});

describe("an odd but valid configuration", () => {
  const same: Readonly<Record<string, string>> = {
    "a byte order mark": "\uFEFFjob: gpt/pretrain\ntraining:\n  steps: 3\n",
    "CRLF line ends": "job: gpt/pretrain\r\ntraining:\r\n  steps: 3\r\n",
    "an anchor and its alias":
      "job: gpt/pretrain\ntraining:\n  steps: &n 3\nvalidation:\n  interval: *n\n",
  };
  for (const [name, text] of Object.entries(same))
    test(name, async () => {
      place.file("case.yaml", text);
      const written = await place.run(["configure", "gpt/pretrain", "-", "--from", "case.yaml"]);
      expect(written.code).toBe(0);
      expect(written.stdout).toMatch(/^ {2}steps: 3\b/m);
    });

  test("an empty file is the defaults", async () => {
    place.file("case.yaml", "");
    const from = await place.run(["configure", "gpt/pretrain", "-", "--from", "case.yaml"]);
    expect(from).toEqual(await place.run(["configure", "gpt/pretrain", "-"]));
  });

  test("a mistake in the last line of a huge file is found in a few seconds", async () => {
    place.file("case.yaml", `${"# nothing here\n".repeat(300_000)}training:\n  stepz: 3\n`);
    expect(await place.said(["plan", "case.yaml"])).toMatchSnapshot();
  }, 15_000);
});

describe("a wrong environment", () => {
  const LIBRARY = { THESEUS_LIBRARY: "libnothing.so" };
  test("a native library that is not there", async () =>
    expect(await place.said(["plan", "good.yaml"], LIBRARY)).toMatchSnapshot());

  test("a native library that is none", async () => {
    const path = place.file("libbad.so", "this is no library");
    expect(await place.said(["plan", "good.yaml"], { THESEUS_LIBRARY: path })).toMatchSnapshot();
  });

  test("an unknown CPU level, a number of threads that is none", async () => {
    const level = { THESEUS_CPU_LEVEL: "v9" };
    expect(await place.said(["plan", "good.yaml"], level)).toMatchSnapshot("level");
    const threads = { THESEUS_THREADS: "some" };
    expect(await place.said(["plan", "good.yaml"], threads)).toMatchSnapshot("threads");
  });

  test("a root that cannot be made", async () => {
    place.file("taken", "a file, not a folder");
    expect(await place.said(["run", "a", "good.yaml", "taken"])).toMatchSnapshot();
  });

  test("a root that nobody can write to", async () =>
    expect(await place.said(["run", "a", "good.yaml", "/proc/out"])).toMatchSnapshot());
});

describe("--json", () => {
  const errorOf = async (args: readonly string[]) => {
    const { code, stdout } = await place.run([...args, "--json"]);
    return { code, ...(JSON.parse(stdout) as { error: Record<string, unknown> }) };
  };

  test("a wrong configuration is one document with its place", async () => {
    place.file("case.yaml", "training:\n  stepz: 3\n");
    expect(await errorOf(["plan", "case.yaml"])).toEqual({
      code: 2,
      error: {
        code: "config",
        message: 'training.stepz  unknown key. Did you mean "steps"?',
        path: "case.yaml",
        line: 2,
        key: "training.stepz",
      },
    });
  });

  test("a missing run, an unknown command", async () => {
    expect(await errorOf(["show", "nobody"])).toMatchObject({
      code: 3,
      error: { code: "not_found", hint: "give the run's directory, or --root" },
    });
    expect(await errorOf(["trian"])).toMatchObject({ code: 2, error: { code: "config" } });
  });
});

test("colour only where it is asked for", async () => {
  const colored = async (env: Record<string, string>) =>
    (await place.run(["show", "nobody"], { NO_COLOR: "", ...env })).stderr.includes("\x1b[");
  expect(await colored({})).toBe(false);
  expect(await colored({ FORCE_COLOR: "1" })).toBe(true);
  const off = await place.run(["show", "nobody", "--no-color"], { FORCE_COLOR: "1" });
  expect(off.stderr).not.toContain("\x1b[");
});
