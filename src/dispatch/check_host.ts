/** @file What a host has and lacks for our jobs: every check says what was found and, where something is wrong, what to do. */
import { UserError } from "../util/errors.ts";
import { isChip } from "./chips.ts";
import type { HostEntry } from "./dispatch_file.ts";
import { expectRun, type Host, MARK, sections } from "./host.ts";
import { type Probe, probeHost } from "./probe.ts";
import { quote, quotePath } from "./quote.ts";
import checkMachine from "./sh/check_machine.sh" with { type: "text" };
import checkSlurm from "./sh/check_slurm.sh" with { type: "text" };
import findLibrary from "./sh/libraries.sh" with { type: "text" };

export interface HostCheck {
  readonly name: string;
  readonly state: "ok" | "warn" | "fail";
  readonly detail: string;
  readonly fix?: string;
}

const TOOLS = ["bash", "tar", "dd", "sha256sum", "flock", "setsid", "mktemp", "sed"];
const MIN_FREE_KIB = 2 * 2 ** 20;
/** Of Bun's own executables. */
const MIN_GLIBC = 2.17;
const MIN_VIRTUAL_KIB = 32 * 2 ** 20;

function script({ cluster, type }: HostEntry): string {
  return [
    `section() { printf '\\n%s %s\\n' '${MARK}' "$1"; }`,
    `tools=${quote(TOOLS.join(" "))}`,
    `root=${quotePath(cluster.root)}`,
    `work=${quotePath(cluster.work)}`,
    findLibrary,
    checkMachine,
    type === "slurm" ? checkSlurm : ":",
  ].join("\n");
}

const check = (name: string, state: HostCheck["state"], detail: string, fix?: string): HostCheck =>
  fix === undefined || state === "ok" ? { name, state, detail } : { name, state, detail, fix };

const gib = (kib: number): string => `${(kib / 2 ** 20).toFixed(1)} GiB`;

function systemChecks(part: (name: string) => string): HostCheck[] {
  const [kernel = "", libc = ""] = part("system").split("\n");
  const version = Number(/(\d+\.\d+)\s*$/.exec(libc)?.[1] ?? Number.NaN);
  const glibc = version >= MIN_GLIBC ? "ok" : "fail";
  const cpu = part("cpu").trim();
  const missing = part("tools").split("\n").filter(Boolean);
  const virtual = part("virtual").trim();
  const tight = virtual !== "unlimited" && Number(virtual) < MIN_VIRTUAL_KIB;
  return [
    check(
      "system",
      kernel.endsWith("x86_64") ? "ok" : "fail",
      kernel,
      "only x86-64 Linux is built",
    ),
    check(
      "glibc",
      glibc,
      libc === "" ? "none was found" : libc,
      `at least glibc ${MIN_GLIBC} is needed`,
    ),
    check(
      "cpu",
      cpu.includes("avx2") ? "ok" : "warn",
      cpu === "" ? "neither AVX2 nor newer" : cpu,
      "computing nodes need AVX2; the login node may differ from them",
    ),
    check(
      "tools",
      missing.length === 0 ? "ok" : "fail",
      missing.length === 0 ? "all there" : `missing: ${missing.join(", ")}`,
      "install them, or load the module that brings them in `setup:`",
    ),
    check(
      "ulimit -v",
      tight ? "fail" : "ok",
      virtual,
      "the arena is reserved in one piece: raise it in `setup:` (ulimit -v unlimited)",
    ),
  ];
}

function folderChecks(part: (name: string) => string, probe: Probe): HostCheck[] {
  const ran = part("work").trim();
  const spaces = part("space")
    .split("\n")
    .map((line) => line.split(" "));
  const quota = part("quota").trim();
  const out = [
    check(
      "folders",
      probe.unwritable.length === 0 ? "ok" : "fail",
      probe.unwritable.length === 0
        ? "can be written to"
        : `cannot be written to: ${probe.unwritable.join(", ")}`,
      "name others in the dispatch file",
    ),
    check(
      "work folder",
      ran === "ran" ? "ok" : "fail",
      ran === "ran"
        ? "programs run from it"
        : `a program does not run from it: ${ran.split("\n").at(-1)}`,
      "it may be mounted noexec: name another `work` folder",
    ),
    ...spaces.map(([free = "0", at = ""], i) =>
      check(
        i === 0 ? "space, root" : "space, work",
        Number(free) > MIN_FREE_KIB ? "ok" : "warn",
        `${gib(Number(free))} free on ${at}`,
        "checkpoints may not fit: make room",
      ),
    ),
  ];
  if (quota !== "")
    out.push(
      check(
        "quota",
        /\*/.test(quota) ? "fail" : "ok",
        quota.replaceAll(/\s+/g, " "),
        "you are over it: make room",
      ),
    );
  return out;
}

function deviceChecks(entry: HostEntry, part: (name: string) => string, probe: Probe): HostCheck[] {
  const libraries = part("libraries").split("\n").filter(Boolean);
  const has = (name: string): boolean => libraries.some((path) => path.includes(name));
  const out: HostCheck[] = [];
  const driver = part("driver").trim();
  const wants = entry.chips.size > 0 || probe.gpus.length > 0;
  if (driver !== "" || (wants && entry.type !== "slurm"))
    out.push(
      check(
        "driver",
        driver === "" ? "fail" : "ok",
        driver === "" ? "no nvidia-smi" : driver,
        "install NVIDIA's driver",
      ),
    );
  const computes = (probe.nodes ?? []).some(({ gpus }) => gpus.size > 0);
  if (driver !== "" || has("libcuda") || wants || computes)
    for (const name of ["libcublasLt", "libnccl"])
      out.push(
        check(
          name,
          has(name) ? "ok" : "warn",
          libraries.find((path) => path.includes(name)) ?? "not found",
          "theseus hosts --setup copies it from here",
        ),
      );
  for (const [chip, count] of entry.type === "slurm" ? [] : entry.chips) {
    const there = probe.gpus.filter(({ name }) => isChip(chip, name)).length;
    out.push(
      check(
        `chip ${chip}`,
        there >= count ? "ok" : "fail",
        `${there} found, ${count} declared`,
        "correct `chips:` of the host",
      ),
    );
  }
  return out;
}

function slurmChecks(entry: HostEntry, part: (name: string) => string, probe: Probe): HostCheck[] {
  if (probe.nodes === null)
    return [
      check(
        "slurm",
        "fail",
        "there is no sbatch",
        "load the module that brings it in the login shell's profile",
      ),
    ];
  if (probe.slurmError !== null)
    return [
      check(
        "slurm",
        "fail",
        `the controller does not answer: ${probe.slurmError}`,
        "ask its administrator",
      ),
    ];
  const config = part("config");
  const known = [...new Set(probe.nodes.map(({ partition }) => partition))];
  const unknown = entry.partitions.filter((name) => !known.includes(name));
  const accounting = part("accounting").trim();
  const early = config.includes("preempt_send_user_signal");
  return [
    check("slurm", "ok", part("version").trim()),
    check(
      "partitions",
      unknown.length === 0 ? "ok" : "fail",
      unknown.length === 0
        ? known.join(", ")
        : `unknown: ${unknown.join(", ")}; there are ${known.join(", ")}`,
      "correct `partitions:` of the host",
    ),
    check(
      "accounting",
      accounting === "" ? "ok" : "warn",
      accounting === "" ? "on" : accounting,
      "nothing to do: how jobs end is taken from their own files and from scontrol",
    ),
    check(
      "preemption",
      "ok",
      early
        ? "the job is told in time (preempt_send_user_signal)"
        : "only the job's steps are told; the script puts itself back into the queue",
    ),
  ];
}

export async function checkHost(host: Host): Promise<HostCheck[]> {
  const { entry } = host;
  try {
    const probe = await probeHost(host);
    const reply = await expectRun(host, script(entry), "check the host");
    const parts = sections(reply.stdout);
    const part = (name: string): string => parts.get(name) ?? "";
    const noise = reply.noise.trim();
    return [
      check("reached", "ok", `${probe.user}@${probe.hostname}`),
      check(
        "login shell",
        noise === "" ? "ok" : "warn",
        noise === "" ? "quiet" : `prints ${JSON.stringify(noise.slice(0, 60))}`,
        "harmless here, but scp and rsync may fail: let it print only to terminals",
      ),
      ...systemChecks(part),
      ...folderChecks(part, probe),
      ...deviceChecks(entry, part, probe),
      ...(entry.type === "slurm" ? slurmChecks(entry, part, probe) : []),
    ];
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [check("reached", "fail", error.message, error.hint)];
  }
}

export interface Offer {
  readonly host: string;
  readonly type: HostEntry["type"];
  readonly cluster: string;
  readonly offers: string;
  readonly problem: string | null;
}

function offersOf(entry: HostEntry, probe: Probe): string {
  const machine = `${probe.cpus} cores, ${Math.round(probe.memoryMiB / 1024)} GiB`;
  if (entry.type !== "slurm") {
    const names = [...new Set(probe.gpus.map(({ name }) => name))];
    const gpus = names.map((name) => {
      const all = probe.gpus.filter((gpu) => gpu.name === name);
      return `${all.filter(({ free }) => free).length} of ${all.length} ${name} free`;
    });
    return [machine, ...gpus].join("; ");
  }
  const partitions = [...new Set((probe.nodes ?? []).map(({ partition }) => partition))];
  return partitions
    .map((name) => {
      const nodes = (probe.nodes ?? []).filter(({ partition }) => partition === name);
      const types = new Map<string, number>();
      for (const { gpus } of nodes)
        for (const [type, count] of gpus) types.set(type, (types.get(type) ?? 0) + count);
      const gpus = [...types].map(([type, count]) => `${count} ${type || "gpu"}`);
      return `${name}: ${[`${nodes.length} nodes`, ...gpus].join(", ")}`;
    })
    .join("; ");
}

/** One line a host, all asked at once. */
export async function offerOf(host: Host): Promise<Offer> {
  const { name, type, cluster } = host.entry;
  const head = { host: name, type, cluster: cluster.name };
  try {
    const probe = await probeHost(host);
    const problem =
      type === "slurm" && probe.nodes === null
        ? "there is no sbatch"
        : (probe.slurmError ??
          (probe.unwritable.length > 0 ? `cannot write to ${probe.unwritable.join(", ")}` : null));
    return { ...head, offers: offersOf(host.entry, probe), problem };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { ...head, offers: "", problem: error.message };
  }
}
