/**
 * @file The executable in odd surroundings: without a home, with nowhere to write, in folders with odd names, on a full disk, with its
 * streams closed. It works, or says why. What this machine does not let us try is told and left out.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PROGRAMS } from "../examples/programs.ts";

setDefaultTimeout(120_000);
const place = mkdtempSync(join(tmpdir(), "theseus-environment-"));
afterAll(() => rmSync(place, { recursive: true, force: true }));

const CONFIG = `job: gpt/pretrain
architecture: { n_layer: 1, n_head: 2, n_embd: 32, block_size: 32 }
training: { steps: 3, per_device_batch_size: 2, warmup_steps: 1, threads: 1 }
validation: { interval: 0, batches: 1 }
`;
let program = "";
beforeAll(async () => {
  const built = (await PROGRAMS[1]?.command())?.[0] ?? "";
  // Beside the runs: other users of this machine start it, too.
  program = join(place, "theseus");
  copyFileSync(built, program);
  chmodSync(program, 0o755);
  writeFileSync(join(place, "small.yaml"), CONFIG);
  chmodSync(place, 0o755);
}, 600_000);

type Env = Readonly<Record<string, string>>;

/** Through a shell, so that what it does to streams, rights and mounts is as in life; `$T` is the program. */
function shell(script: string, env: Env = {}, prefix: readonly string[] = []) {
  const all = { PATH: process.env.PATH ?? "", HOME: place, NO_COLOR: "1", ...env, T: program };
  const { exitCode, stdout, stderr } = Bun.spawnSync([...prefix, "bash", "-c", script], {
    ...{ cwd: place, env: all, stdout: "pipe", stderr: "pipe" },
  });
  return { code: exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

const root = process.getuid?.() === 0;
/** Nobody in particular: who is root may write everywhere. */
const NOBODY = root ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : [];
const canDrop = !root || Bun.which("setpriv") !== null;
const MOUNTS = ["unshare", "-m"];
const canMount =
  root && shell("mount -t tmpfs t /mnt", {}, Bun.which("unshare") ? MOUNTS : ["false"]).code === 0;
if (!canDrop) console.warn("NOT TESTED: read-only folders: this is root, and there is no setpriv");
if (!canMount) console.warn("NOT TESTED: full disks and noexec: mounting is not allowed here");

describe("homes and variables", () => {
  test.each([
    ["no HOME", "env -u HOME -u XDG_CACHE_HOME"],
    ["no variable at all", "env -i"],
    ["a HOME that nobody can write to", "env HOME=/proc"],
    ["neither HOME nor TMPDIR", "env HOME=/proc TMPDIR=/proc"],
    ["LANG=C", "env LANG=C LC_ALL=C"],
    ["no terminal to speak of", "env TERM=dumb"],
  ])("%s", (name, words) => {
    const out = `out-${name.replaceAll(/\W/g, "")}`;
    const ran = shell(
      `${words} "$T" run a small.yaml ${out} && ${words} "$T" show a --root ${out}`,
    );
    expect(ran).toMatchObject({ code: 0 });
    expect(ran.stderr).toContain("finished after 3 steps");
    expect(ran.stderr).not.toContain("\x1b");
    expect(ran.stdout).toContain("finished");
  });

  test("umask 077: nobody else can read a run", () => {
    expect(shell('umask 077; "$T" run a small.yaml private').code).toBe(0);
    for (const name of readdirSync(join(place, "private"), { recursive: true }) as string[])
      expect({ name, mode: statSync(join(place, "private", name)).mode & 0o077 }).toEqual({
        ...{ name, mode: 0 },
      });
  });
});

test("an empty folder and the executable are enough", () => {
  const small = "architecture.n_layer=1 architecture.n_embd=32 architecture.n_head=2";
  const settings = `${small} training.steps=2`;
  const script = `mkdir empty && cd empty && "$T" configure gpt/pretrain a.yaml ${settings} &&
    "$T" run x a.yaml out validation.batches=1 && "$T" sample x We --root out --tokens 3`;
  const ran = shell(script, { HOME: join(place, "empty") });
  expect(ran).toMatchObject({ code: 0 });
  expect(ran.stdout).toStartWith("We");
}, 120_000);

test("a root with spaces, letters of all kinds and a line end in its name", () => {
  const name = 'sp ace/ünï "quo\'ted" $HOME\n-code';
  const env = { ROOT: name };
  const all = ["show a", "checkpoint verify a", "sample a We --tokens 3", "runs", "plot a"];
  const script = [
    'set -e; "$T" run a small.yaml "$ROOT"',
    ...all.map((words) => `"$T" ${words} --root "$ROOT"`),
    '"$T" checkpoint export a "$ROOT/weights" --root "$ROOT"',
    '"$T" run a small.yaml "$ROOT" training.stop_tokens=999',
  ];
  const ran = shell(script.join("\n"), env);
  expect(ran).toMatchObject({ code: 0 });
  expect(ran.stderr).toContain("goes on from step 3");
  expect(readdirSync(join(place, name))).toContain("weights");
});

describe("streams", () => {
  test("closed ones", () => {
    expect(shell('"$T" run a small.yaml closed <&- >&- 2>&-').code).toBe(0);
    const exit = readFileSync(join(place, "closed/runs/general/default/a/exit.json"), "utf8");
    expect(exit).toContain('"finished"');
  });

  test("a reader that goes away ends no training", () => {
    const ran = shell('"$T" run a small.yaml piped --json | head -c 1; exit $PIPESTATUS');
    expect(ran).toMatchObject({ code: 0, stdout: "{" });
    expect(ran.stderr).not.toMatch(/EPIPE|^ +at /m);
    expect(ran.stderr).toContain("finished after 3 steps");
  });
});

test.skipIf(!canDrop)("folders that may only be read", () => {
  mkdirSync(join(place, "readonly"));
  chmodSync(join(place, "readonly"), 0o555);
  const env = { HOME: join(place, "readonly") };
  const run = shell('"$T" run a small.yaml readonly/out', env, NOBODY);
  expect(run.code).toBe(1);
  expect(run.stderr).toMatch(/^error: cannot make the run directory readonly\/out\/.*EACCES/m);
  expect(run.stderr).toContain("hint: name another root folder");
  const configure = shell('"$T" configure gpt/pretrain readonly/a.yaml', env, NOBODY);
  expect(configure.code).toBe(1);
  expect(configure.stderr).toContain("EACCES: permission denied, open 'readonly/a.yaml'");
  const doctor = shell('"$T" doctor --root readonly/out', env, NOBODY);
  expect(doctor.code).toBe(3);
  expect(doctor.stdout).toContain("readonly/out is not writable");
});

/** A small disk of its own, with so many KiB left, mounted for this shell alone. */
const onDisk = (kib: number, options: string, script: string) => {
  mkdirSync(join(place, "disk"), { recursive: true });
  const filled = `dd if=/dev/zero of=fill bs=1k count=${396 - kib} status=none`;
  const mount = `mount -t tmpfs -o size=400k${options} t disk && cp small.yaml disk && cd disk`;
  return shell(`${mount} && ${filled}; ${script}`, {}, MOUNTS);
};

describe.skipIf(!canMount)("a disk", () => {
  test("that may not be executed from: the library is opened from memory", () => {
    const env = 'HOME=$PWD TMPDIR=$PWD "$T"';
    const ran = onDisk(396, ",noexec", `${env} doctor && ${env} run a small.yaml out`);
    expect(ran).toMatchObject({ code: 0 });
    expect(ran.stdout).toMatch(/ok +library +\/proc\/self\/fd\//);
  });

  test("that is full from the start", () => {
    const ran = onDisk(8, "", '"$T" run a small.yaml out');
    expect(ran.code).toBe(1);
    expect(ran.stderr).toMatch(/^error: .*ENOSPC: no space left on device/m);
    expect(ran.stderr).toContain("hint: the disk is full: free some space");
    expect(ran.stderr).not.toContain("fault in theseus");
  });

  test("that fills while a run trains: it goes on, keeps what it has, and exits 6 where nothing was saved", () => {
    const settings = "checkpoint.interval=1 training.steps=60";
    const ran = onDisk(50, "", `"$T" run a small.yaml out ${settings}; echo "exit $?"`);
    expect(ran.stdout).toBe("exit 6\n");
    expect(ran.stderr).toContain("free; training goes on");
    expect(ran.stderr).toContain("metrics.jsonl: ENOSPC");
    expect(ran.stderr).toContain("no checkpoint could be written");
  });

  test("that has room again: metrics that could not be written come later, whole", () => {
    const settings = "checkpoint.interval=0 training.steps=4000 logging.trackers=[]";
    const script = `"$T" run a small.yaml out ${settings} & child=$!
until grep -q "" out/runs/general/default/a/metrics.jsonl 2>/dev/null; do sleep 0.01; done
sleep 0.5; truncate -s 10k fill; sync; wait $child; echo "exit $?"
cp out/runs/general/default/a/metrics.jsonl ${join(place, "metrics.jsonl")}`;
    const ran = onDisk(50, "", script);
    expect(ran.stderr).toContain("metrics.jsonl: ENOSPC");
    const lines = readFileSync(join(place, "metrics.jsonl"), "utf8").split("\n").slice(0, -1);
    const steps = lines.map((line) => (JSON.parse(line) as { step: number }).step);
    expect(steps).toEqual(steps.map((_, i) => i + 1));
    expect(steps.length).toBeGreaterThan(400);
  });
});
