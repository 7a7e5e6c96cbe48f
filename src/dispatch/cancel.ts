/** @file Ends a job: the training saves at its next step and ends; what is saved stays, and a further submit goes on from there. */
import { RemoteError, UserError } from "../util/errors.ts";
import { type Host, lastLine } from "./host.ts";
import type { JobRecord } from "./job_record.ts";
import { runText } from "./job_spec.ts";
import { quote, quotePath } from "./quote.ts";
import cancelPlain from "./sh/cancel_plain.sh" with { type: "text" };
import markCancel from "./sh/mark_cancel.sh" with { type: "text" };

const cancelSlurm = (work: string): string => `
scancel "$job" || exit 44
: >${quotePath(work)}/status/queue-"$(id -un)".stale 2>/dev/null
:`;

/** Returns false when there was nothing to end. */
export async function cancelJob(host: Host, record: JobRecord): Promise<boolean> {
  const { entry } = host;
  const submit = quote(`${record.directory}/submit`);
  const end = entry.type === "slurm" ? cancelSlurm(entry.cluster.work) : cancelPlain;
  const reply = await host.shell.run(`submit=${submit}\n${markCancel}\n${end}`);
  const said = lastLine(reply.stderr);
  if (reply.code === 0) return true;
  if (reply.code === 43 || /Invalid job id|already completed/i.test(said)) return false;
  if (reply.code === 44)
    throw new RemoteError(`SLURM on ${entry.name} did not cancel ${record.job}: ${said}`);
  throw new UserError(`cannot cancel ${runText(record)} on ${entry.name}: ${said}`);
}
