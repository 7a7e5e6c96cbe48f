/**
 * @file What a job asks for when it is submitted: `request:` of every configuration. Dispatch chooses a host by it; where the
 * job runs by hand it has no meaning, and it may differ freely when a run goes on.
 */
import { field } from "./field.ts";
import { duration, int, matching, memory, nullable } from "./schema.ts";

export const requestFields = {
  chip: field(
    "request/chip",
    nullable(matching(/^[A-Za-z0-9][\w.-]*$/, 'name like "h100"')),
    null,
    "accelerator to submit the job to; null: a host without one will do",
  ),
  chips: field("request/chips", int({ min: 1 }), 1, "accelerators in all, over all nodes"),
  nodes: field("request/nodes", int({ min: 1 }), 1, "machines"),
  cpus: field("request/cpus", nullable(int({ min: 1 })), null, "cores a node; null: the host's"),
  memory: field("request/memory", nullable(memory()), null, "memory a node; null: the host's"),
  time: field(
    "request/time",
    nullable(duration()),
    null,
    "most time it may take; null: the host's",
  ),
};
