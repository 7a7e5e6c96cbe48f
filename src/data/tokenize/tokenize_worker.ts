/** @file A worker of a tokenization job. It is an entry of its own: the executable carries it beside the main program. */
import { assert } from "../../util/errors.ts";
import { toThread } from "../../util/thread_error.ts";
import { adoptTokenizer } from "../tokenizers/share_tokenizer.ts";
import type { FromWorker, ToWorker } from "./messages.ts";
import { PartRunner } from "./run_part.ts";

declare const self: Worker;

const TELL_MS = 200;

const tell = (message: FromWorker): void => self.postMessage(message);

let runner: PartRunner | undefined;
let stop: Int32Array = new Int32Array(1);

async function runPart({ folder, pieces }: ToWorker & { kind: "part" }): Promise<void> {
  assert(runner !== undefined, "a part is sent after the setup");
  let [bytes, tokens, documents] = [0, 0, 0];
  let told = performance.now();
  const flush = (): void => {
    tell({ kind: "progress", bytes, tokens, documents });
    [bytes, tokens, documents] = [0, 0, 0];
    told = performance.now();
  };
  const result = await runner.run(folder, pieces, {
    progress(moreBytes, moreTokens, moreDocuments) {
      bytes += moreBytes;
      tokens += moreTokens;
      documents += moreDocuments;
      if (performance.now() - told >= TELL_MS) flush();
    },
    stopped: () => Atomics.load(stop, 0) !== 0,
  });
  flush();
  tell({ kind: "done", result });
}

async function handle(message: ToWorker): Promise<void> {
  if (message.kind === "part") return runPart(message);
  const { setup, tokenizer: shared } = message;
  stop = message.stop;
  if (shared !== null) runner = await PartRunner.open(setup, adoptTokenizer(shared));
  else {
    const { openTokenizer } = await import("../tokenizers/open_tokenizer.ts");
    runner = await PartRunner.open(setup, await openTokenizer(setup.tokenizer));
    // Reading a vocabulary leaves ten times its size behind, in every worker.
    Bun.gc(true);
    Bun.shrink();
  }
  tell({ kind: "ready" });
}

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  handle(data).catch((error: unknown) => tell({ kind: "failed", error: toThread(error) }));
};
