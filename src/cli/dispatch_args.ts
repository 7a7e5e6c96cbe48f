/** @file What the commands that deal with other hosts share: the dispatch file, hosts, and runs that were submitted. */
import {
  type DispatchFile,
  type HostEntry,
  hostNamed,
  loadDispatchFile,
} from "../dispatch/dispatch_file.ts";
import { type Host, openHost } from "../dispatch/host.ts";
import { type JobRecord, matching, onlyOne, remember, remembered } from "../dispatch/job_record.ts";
import { runText } from "../dispatch/job_spec.ts";
import { queryHost, type RunStatus } from "../dispatch/query.ts";
import { UserError } from "../util/errors.ts";
import { rootOf } from "./place.ts";

export const dispatchArgs = {
  dispatch: {
    type: "string",
    alias: "d",
    valueHint: "file",
    description: "the hosts (default: THESEUS_DISPATCH, or ~/.theseus.yaml)",
  },
} as const;

export const hostArgs = {
  ...dispatchArgs,
  host: { type: "string", valueHint: "host", description: "a host of the dispatch file" },
} as const;

export const dispatchFileOf = (args: { readonly dispatch?: string | undefined }): DispatchFile =>
  loadDispatchFile(args.dispatch, rootOf(undefined, undefined));

/** Hosts that share the folders of this one. */
const siblingsOf = (file: DispatchFile, { cluster }: HostEntry): ReadonlySet<string> =>
  new Set(file.hosts.filter((each) => each.cluster.name === cluster.name).map(({ name }) => name));

interface Named {
  readonly dispatch?: string | undefined;
  readonly host?: string | undefined;
}

export interface SubmittedRun {
  readonly host: Host;
  readonly record: JobRecord;
  readonly status: RunStatus;
}

/** The run that NAME means: from the list of what was submitted here, or with --host from the host itself. */
export async function submittedRun(name: string, args: Named): Promise<SubmittedRun> {
  const file = dispatchFileOf(args);
  const [, prefix, rest] = /^([\w.-]+):(.+)$/.exec(name) ?? [];
  const hostName = args.host ?? prefix;
  const run = rest ?? name;
  const known = remembered().filter(({ host }) => hostName === undefined || host === hostName);
  if (matching(known, run).length > 0 || hostName === undefined) {
    const record = onlyOne(known, run);
    const host = openHost(hostNamed(file, record.host));
    const { statuses, records } = await queryHost(host, [record.directory]);
    const [status] = statuses;
    if (status === undefined)
      throw new UserError(`${runText(record)} is not on ${record.host} any more`, {
        code: "not_found",
        hint: `it was in ${record.directory}`,
      });
    return { host, record: records[0] ?? record, status };
  }
  const host = openHost(hostNamed(file, hostName));
  const { statuses, records } = await queryHost(host, null, siblingsOf(file, host.entry));
  const record = onlyOne(records, run);
  remember(record);
  const status = statuses[records.indexOf(record)];
  if (status === undefined) throw new Error("internal: a record without status");
  return { host, record, status };
}

export interface HostStatuses {
  readonly statuses: readonly RunStatus[];
  /** Hosts that did not answer, and why. */
  readonly silent: readonly { readonly host: string; readonly reason: string }[];
}

const unknownStatus = (record: JobRecord, reason: string): RunStatus => ({
  run: runText(record),
  host: record.host,
  ...{ state: "unknown", reason, step: null, job: record.job, attempt: 0, node: null },
  ...{ submitted: record.submitted, submitted_age_s: null, heartbeat_age_s: null },
  ...{ directory: record.directory, log: record.log, log_tail: [] },
});

/** All hosts at once; one that cannot be reached leaves its runs unknown. */
export async function statusesOf(
  file: DispatchFile,
  records: readonly JobRecord[],
  whole: HostEntry | undefined,
): Promise<HostStatuses> {
  const silent: { host: string; reason: string }[] = [];
  const hosts = whole === undefined ? [...new Set(records.map(({ host }) => host))] : [whole.name];
  const parts = await Promise.all(
    hosts.map(async (name): Promise<RunStatus[]> => {
      const own = records.filter(({ host }) => host === name);
      try {
        const host = openHost(hostNamed(file, name));
        const directories = whole === undefined ? own.map(({ directory }) => directory) : null;
        const { statuses, records: found } = await queryHost(
          host,
          directories,
          siblingsOf(file, host.entry),
        );
        for (const record of found) remember(record);
        const gone =
          whole !== undefined
            ? []
            : own.filter((record) => !found.some((f) => f.directory === record.directory));
        return [
          ...statuses,
          ...gone.map((record) => unknownStatus(record, "its folder is not on the host")),
        ];
      } catch (error) {
        if (!(error instanceof UserError) || whole !== undefined) throw error;
        silent.push({ host: name, reason: error.message });
        return own.map((record) => unknownStatus(record, error.message));
      }
    }),
  );
  return { statuses: parts.flat(), silent };
}

export const printJson = (body: Readonly<Record<string, unknown>>): void => {
  process.stdout.write(`${JSON.stringify({ schema_version: 1, ...body })}\n`);
};

/** `KEY=VALUE` options. */
export function pairs(option: string, texts: readonly string[], key: RegExp): Map<string, string> {
  const out = new Map<string, string>();
  for (const text of texts) {
    const at = text.indexOf("=");
    const name = at === -1 ? text : text.slice(0, at);
    if (at === -1 || !key.test(name))
      throw new UserError(`--${option} expected NAME=VALUE, got "${at === -1 ? text : name}"`, {
        code: "config",
      });
    out.set(name, text.slice(at + 1));
  }
  return out;
}
