/** @file The thread that reads ahead (prefetch.ts). It is an entry of its own: the executable carries it beside the main program. */
import { assert, UserError } from "../util/errors.ts";
import { folderSampler } from "./folder_plan.ts";
import { fillBatch } from "./loader.ts";
import {
  type PrefetchError,
  type PrefetchReply,
  type PrefetchRequest,
  slotBatch,
} from "./prefetch.ts";

declare const self: Worker;

const reply = (message: PrefetchReply): void => self.postMessage(message);

let fill: ((batch: number) => void) | undefined;
let failed = false;

function handle(request: PrefetchRequest): void {
  if (typeof request === "number") {
    assert(fill !== undefined, "a batch is asked for after the start");
    fill(request);
    reply({ kind: "filled" });
    return;
  }
  const { plan, packings, rows, first, memory } = request;
  const { sampler } = folderSampler(plan, undefined, packings);
  fill = (batch) => {
    const views = slotBatch(memory, batch, rows * plan.length);
    fillBatch(sampler, first + batch * rows, views, rows);
  };
}

function plain(error: unknown): PrefetchError {
  if (error instanceof UserError) {
    const { message, code, hint, place } = error;
    return { message, code, hint, place };
  }
  return { message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

self.onmessage = ({ data }: MessageEvent<PrefetchRequest>) => {
  if (failed) return;
  try {
    handle(data);
  } catch (error) {
    failed = true;
    reply({ kind: "failed", error: plain(error) });
  }
};
