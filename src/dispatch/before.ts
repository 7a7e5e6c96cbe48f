/**
 * @file Jobs that make what a run reads, submitted before it: each is a run of its own with a name of its own, so that one that has
 * finished or is at work is taken as it is, and every run that needs it waits for the same job.
 */
import { RemoteError, UserError } from "../util/errors.ts";
import type { HostEntry } from "./dispatch_file.ts";
import { expectRun } from "./host.ts";
import { jobScript } from "./job_script.ts";
import type { JobSpec, Resources } from "./job_spec.ts";
import { runFolder, runText } from "./job_spec.ts";
import { absolute } from "./probe.ts";
import { queryHost, type RunStatus } from "./query.ts";
import { quote } from "./quote.ts";
import type { HostPaths, Named, RunData } from "./run_data.ts";
import { placementOn, type Solution } from "./solve.ts";
import { type Cell, type SubmitOptions, specOf, withDefaults } from "./submit.ts";

export interface Before {
  readonly cell: Cell;
  readonly resources: Resources;
  readonly signal: string;
  readonly data: RunData;
  /** What it makes, among the data of those that read it. */
  readonly made: Named;
  /** Throws `conflict` when a configuration that the run has on the host is another one. */
  expectSame(text: string, paths: HostPaths): void;
}

export interface PreparedBefore {
  readonly cell: Cell;
  readonly data: RunData;
  readonly spec: JobSpec;
  readonly script: string;
  readonly state: "new" | "live" | "finished";
  /** Of one that is live. */
  readonly job: string;
}

function stateOf(status: RunStatus | undefined, entry: HostEntry): PreparedBefore["state"] {
  if (status === undefined) return "new";
  const { run, state, reason, job } = status;
  const host = entry.name;
  if (state === "finished") return "finished";
  if (state === "unknown")
    throw new RemoteError(
      `cannot tell how ${run} stands on ${host}: ${reason}; nothing was submitted`,
    );
  if (state !== "queued" && state !== "running") return "new";
  if (entry.type === "slurm" && !/^\d+(_\d+)?$/.test(job))
    throw new UserError(
      `${run} is at work on a host without SLURM, whose jobs cannot wait for it`,
      {
        code: "conflict",
        hint: "submit again when it has finished",
      },
    );
  return "live";
}

/** The configuration that a run was submitted with; empty: it was not. */
async function configOf({ host }: Solution, directory: string): Promise<string> {
  const script = `cat ${quote(`${directory}/submit/config.yaml`)} 2>/dev/null; :`;
  return (await expectRun(host, script, "read a configuration")).stdout;
}

export async function prepareBefore(
  options: SubmitOptions,
  solution: Solution,
  parts: { readonly binary: string; readonly paths: HostPaths; submission(): string },
): Promise<PreparedBefore[]> {
  const { host, probe } = solution;
  const { entry } = host;
  const root = absolute(entry.cluster.root, probe);
  const folders = options.before.map(({ cell }) => runFolder(root, cell.run));
  const { statuses } = await queryHost(host, folders);
  const out: PreparedBefore[] = [];
  for (const { cell, data, resources, signal, expectSame } of options.before) {
    const name = runText(cell.run);
    const at = statuses.findIndex(({ run }) => run === name);
    const state = stateOf(statuses[at], entry);
    if (at !== -1) {
      const text = await configOf(solution, runFolder(root, cell.run));
      if (text !== "") expectSame(text, parts.paths);
    }
    const wanted = withDefaults(resources, entry);
    const placement = placementOn(options.file, solution, wanted);
    const own: SubmitOptions = {
      ...options,
      ...{ signal, args: [], initFrom: null, sweep: null, sbatch: new Map() },
    };
    const spec = specOf(cell, own, { host, probe, placement }, wanted, {
      ...{ binary: parts.binary, submission: parts.submission(), lastSave: null },
      ...{ paths: parts.paths, after: [] },
    });
    const job = state === "live" ? (statuses[at]?.job ?? "") : "";
    out.push({ cell, data, spec, script: jobScript(spec), state, job });
  }
  return out;
}
