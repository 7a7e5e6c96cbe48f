/** @file theseus sample: continues a prompt with the weights of a run. */

import { modelFiles } from "../jobs/model_place.ts";
import { sampleRun } from "../jobs/sample_run.ts";
import { command, UsageError } from "./command.ts";
import { interruption } from "./interrupt.ts";
import { rootArgs, rootOf } from "./place.ts";
import { loadArgs, loadUserCode } from "./user_code.ts";

function numberOf(text: string, name: string, low: number, integer: boolean): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < low || (integer && !Number.isInteger(value)))
    throw new UsageError(
      `--${name} expected ${integer ? "an integer" : "a number"} >= ${low}, got "${text}"`,
    );
  return value;
}

export default command({
  name: "sample",
  summary: "write text with a trained run",
  examples: [
    'theseus sample first "The people of"',
    'theseus sample first@best "We" --temperature 0.7 --seed 3',
  ],
  args: {
    model: {
      type: "positional",
      required: true,
      description: "RUN, RUN@best, RUN@step-000123, or an exported folder",
    },
    prompt: { type: "positional", required: false, description: "text to continue" },
    ...rootArgs,
    tokens: { type: "string", default: "400", description: "tokens to write at most" },
    temperature: { type: "string", default: "0.8", description: "0 takes the likeliest token" },
    "top-k": { type: "string", default: "0", description: "only the k likeliest; 0: all" },
    seed: { type: "string", default: "0", description: "seed of the draw" },
  },
  repeated: loadArgs,
  async run({ args, repeated }) {
    await loadUserCode(repeated.load);
    const options = {
      maxTokens: numberOf(args.tokens, "tokens", 1, true),
      temperature: numberOf(args.temperature, "temperature", 0, false),
      topK: numberOf(args["top-k"], "top-k", 0, true),
      seed: numberOf(args.seed, "seed", 0, true),
    };
    const prompt = args.prompt ?? "";
    const json = args.json === true;
    const files = await modelFiles(args.model, rootOf(undefined, args.root));
    const stop = interruption("stopping");
    try {
      if (!json) process.stdout.write(prompt);
      const text = await sampleRun({
        ...files,
        prompt,
        ...options,
        signal: stop.signal,
        onText: (piece) => {
          if (!json) process.stdout.write(piece);
        },
      });
      process.stdout.write(
        json ? `${JSON.stringify({ schema_version: 1, prompt, text, ...options })}\n` : "\n",
      );
    } finally {
      stop.release();
    }
    return 0;
  },
});
