/** @file theseus score: the log-probability of every token of a text. */
import { readFileSync } from "node:fs";
import type { ScoredText } from "../evaluate/packing.ts";
import { modelFiles } from "../jobs/model_place.ts";
import { openJudged } from "../jobs/open_judged.ts";
import { DataError, UserError } from "../util/errors.ts";
import { command } from "./command.ts";
import { deviceArgs, deviceOf } from "./device_args.ts";
import { rootArgs, rootOf } from "./place.ts";
import { loadArgs, loadUserCode } from "./user_code.ts";

function textOf(path: string): Uint8Array {
  try {
    return readFileSync(path === "-" ? 0 : path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UserError(`cannot read ${path}: ${why}`, { code: "not_found" });
  }
}

/** Windows of the context: each token is judged once, with as much before it as a half window gives at least. */
function windowsOf(ids: readonly number[], context: number): ScoredText[] {
  const windows: ScoredText[] = [];
  const stride = Math.max(1, context >> 1);
  for (let done = 1; done < ids.length; ) {
    const end = Math.min(ids.length, done === 1 ? context + 1 : done + stride);
    const start = Math.max(0, end - context - 1);
    windows.push({ tokens: ids.slice(start, end), scored: end - done });
    done = end;
  }
  return windows;
}

export default command({
  name: "score",
  summary: "log-probabilities of the tokens of a text",
  examples: ["theseus score first speech.txt", "theseus score first@best - --json < speech.txt"],
  args: {
    model: { type: "positional", required: true, description: "RUN, RUN@best, or a folder" },
    file: { type: "positional", required: true, description: "text; - is standard input" },
    special: {
      type: "boolean",
      default: false,
      description: "adds the tokenizer's special tokens, and reads those that the text spells",
    },
    ...deviceArgs,
    ...rootArgs,
  },
  repeated: loadArgs,
  async run({ args, repeated }) {
    await loadUserCode(repeated.load);
    const files = await modelFiles(args.model, rootOf(undefined, args.root));
    const bytes = textOf(args.file);
    const open = await openJudged({ ...files, ...deviceOf(args.device) });
    try {
      const { judged } = open;
      const { special } = args;
      const tokens = judged.tokenizer.encode(bytes, { addSpecial: special, parseSpecial: special });
      const ids = Array.from(tokens);
      if (ids.length < 2)
        throw new DataError(`${args.file} has ${ids.length} tokens, expected at least 2`);
      const scores = await judged.scoreTexts(windowsOf(ids, judged.context));
      const logprobs = scores.flatMap((score) => Array.from(score.logprobs));
      const sum = logprobs.reduce((a, b) => a + b, 0);
      const loss = -sum / logprobs.length;
      // The first token is given, so its bytes are not judged.
      const judgedBytes = judged.tokenizer.byteCount(tokens.subarray(1));
      const bitsPerByte = -sum / Math.LN2 / judgedBytes;
      if (args.json === true) {
        const out = { ids, logprobs: [null, ...logprobs], loss, bits_per_byte: bitsPerByte };
        process.stdout.write(`${JSON.stringify({ schema_version: 1, ...out })}\n`);
      } else {
        const nats = `loss ${loss.toFixed(4)}, perplexity ${Math.exp(loss).toFixed(2)}`;
        const bits = `${bitsPerByte.toFixed(4)} bits per byte`;
        process.stdout.write(`${ids.length} tokens, ${nats}, ${bits}\n`);
      }
      return 0;
    } finally {
      open.close();
    }
  },
});
