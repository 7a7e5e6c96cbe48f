/** @file What a job's script has for hosts without scheduler alone: its own name, devices of its own, starting itself anew. */
import type { JobSpec } from "./job_spec.ts";
import { quote } from "./quote.ts";
import after from "./sh/plain_after.sh" with { type: "text" };
import devices from "./sh/plain_devices.sh" with { type: "text" };
import locks from "./sh/plain_locks.sh" with { type: "text" };
import slot from "./sh/plain_slot.sh" with { type: "text" };
import wait from "./sh/plain_wait.sh" with { type: "text" };

/** The folder is everybody's: the locks keep jobs of all users apart. */
export const LOCKS = "/tmp/theseus-locks";

/** What it must wait for: the data first, then a place, then devices, which it holds from then on. */
export function plainWaits(spec: JobSpec): string {
  const { resources, slots } = spec;
  if (resources.chip === null && slots === null && spec.after.length === 0) return "";
  const parts = [wait];
  if (spec.after.length > 0)
    parts.push(after, `[ "$attempt" -gt 1 ] || wait_for data_made ${quote(spec.after.join(", "))}`);
  return [...parts, plainLocks(spec)].join("\n");
}

function plainLocks({ resources, slots }: JobSpec): string {
  const { chip, chips } = resources;
  if (chip === null && slots === null) return "";
  const parts = [`locks=${LOCKS}`, locks];
  if (slots !== null)
    parts.push(`slot_name=${quote(slots.name)}`, `slot_count=${slots.count}`, slot);
  if (chip !== null) parts.push(`device_count=${chips}`, devices);
  return parts.join("\n");
}

export const plainStart = (command: string): string => `
stop_training() { kill -s "$stop_signal" "$trainer" 2>/dev/null; }
kill_training() {
  # shellcheck disable=SC2046 # a list of processes
  kill -s KILL $(started_by "$trainer") "$trainer" 2>/dev/null
}
# Everything that a process has started, as far as it still lives.
started_by() {
  local child
  # shellcheck disable=SC2013 # words, not lines
  for child in $(cat "/proc/$1/task"/*/children 2>/dev/null); do
    echo "$child"
    started_by "$child"
  done
}
note start
# Ends when this script is killed.
THESEUS_PARENT=$$ ${command} &
trainer=$!`;
