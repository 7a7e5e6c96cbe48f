/** @file Secrets of the environment: whatever is run, also what fails with a secret in its message, none is printed or written. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { redacted } from "../../src/util/redact.ts";
import { SMALL_CONFIG, Workplace } from "./command_line.ts";

setDefaultTimeout(60_000);
const NAMES = [
  ...["WANDB_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY"],
  ...["OPENAI_API_KEY", "GITHUB_TOKEN", "DB_PASSWORD", "SSH_PASSPHRASE", "SOME_SECRET"],
];
/** With what JSON, addresses and shells would write otherwise. */
const secrets = Object.fromEntries(NAMES.map((name, i) => [name, `canary-${i}/"quoted" & more`]));
const MARK = /canary-\d/;
const place = new Workplace();
afterAll(() => place.remove());

/** A model, a tracker and a hook that fail with the token in their messages. */
const LEAKY = `import { Gpt, gptOptions, job, saveHook, tracker } from "theseus";
const token = process.env.HF_TOKEN ?? "none";
job({
  name: "leaky/model",
  doc: "a model that cannot be built",
  uses: [Gpt],
  model() { throw new Error("refused: https://host/?token=" + encodeURIComponent(token)); },
});
const model = (config) => new Gpt(gptOptions(config));
job({ name: "leaky/good", doc: "one that can", uses: [Gpt], model });
tracker({ name: "leaky", doc: "fails", open() { throw new Error("401 for " + token); } });
saveHook({ name: "leaky", doc: "fails", run() { throw new Error(JSON.stringify({ token })); } });
`;

let printed = "";
const run = async (...args: string[]) => {
  const outcome = await place.run(args, { ...secrets, THESEUS_DEBUG: "1" });
  printed += `${outcome.stdout}${outcome.stderr}`;
  return outcome;
};

beforeAll(async () => {
  place.file("small.yaml", SMALL_CONFIG);
  place.file("leaky.ts", LEAKY);
  place.file("bad.yaml", SMALL_CONFIG.replace("gpt/pretrain", "leaky/model"));
  place.file("hooks.yaml", SMALL_CONFIG.replace("gpt/pretrain", "leaky/good"));
});

test("everything that works", async () => {
  await run("configure", "gpt/pretrain", "full.yaml");
  await run("plan", "small.yaml", "--verbose");
  expect(await run("run", "first", "small.yaml", "--verbose")).toMatchObject({ code: 0 });
  for (const args of [["show", "first"], ["runs"], ["doctor"], ["checkpoint", "list", "first"]]) {
    await run(...args);
    await run(...args, "--json");
  }
  await run("checkpoint", "export", "first", "weights");
  await run("completions", "bash");
});

test("what fails, with a secret in its message", async () => {
  const load = ["--load", "leaky.ts"];
  const bad = await run("run", "bad", "bad.yaml", ...load);
  expect(bad.code).toBe(2);
  expect(bad.stderr).toContain("refused: https://host/?token=[secret]");
  expect((await run("plan", "bad.yaml", ...load, "--json")).stdout).toContain("token=[secret]");
  const settings = ["logging.trackers=[leaky]", "checkpoint.after_save=[leaky]"];
  const hooks = await run("run", "hooks", "hooks.yaml", ...load, ...settings);
  expect(hooks.code).toBe(0);
  expect(hooks.stderr).toContain("401 for [secret]");
  expect(hooks.stderr).toContain('{"token":"[secret]"}');
  const events = readFileSync(
    join(place.path, "theseus-out/runs/general/default/hooks/events.jsonl"),
    "utf8",
  );
  for (const line of events.trim().split("\n")) JSON.parse(line);
  expect(events).toContain("401 for [secret]");
});

test("nowhere is a canary", () => {
  expect(printed.length).toBeGreaterThan(2000);
  expect(printed).not.toMatch(MARK);
  let files = 0;
  for (const name of readdirSync(place.path, { recursive: true }) as string[]) {
    const path = join(place.path, name);
    if (!statSync(path).isFile()) continue;
    files++;
    expect({ name, found: MARK.test(readFileSync(path, "latin1")) }).toEqual({
      name,
      found: false,
    });
  }
  expect(files).toBeGreaterThan(30);
});

test("a short value, or one under another name, is left as it is", () => {
  const before = { ...process.env };
  try {
    Object.assign(process.env, { X_TOKEN: "steps", MONKEY: "a-long-value", THE_KEY: "longer-one" });
    expect(redacted("steps of a-long-value: longer-one")).toBe("steps of a-long-value: [secret]");
  } finally {
    for (const name of ["X_TOKEN", "MONKEY", "THE_KEY"])
      if (before[name] === undefined) delete process.env[name];
  }
});
