/** @file theseus sample: continues a prompt, or many of a file, with the weights of a run. */

import { modelFiles } from "../jobs/model_place.ts";
import { type Sample, sampleTexts } from "../jobs/sample_run.ts";
import { command, UsageError } from "./command.ts";
import { deviceArgs, deviceOf } from "./device_args.ts";
import { interruption } from "./interrupt.ts";
import { numberOf, precisionArgs, precisionOf, samplingArgs, samplingOf } from "./numbers.ts";
import { rootArgs, rootOf } from "./place.ts";
import { readPrompts } from "./prompts_file.ts";
import { writeText } from "./terminal_text.ts";
import { loadArgs, loadUserCode } from "./user_code.ts";

/** A head line and the whole text, as soon as it is finished. */
function show(prompts: readonly string[], answers: number): (sample: Sample) => void {
  return ({ prompt, answer, text }) => {
    const which = answers > 1 ? `, answer ${answer + 1}` : "";
    writeText(`--- prompt ${prompt + 1}${which}\n${prompts[prompt]}${text}\n`);
  };
}

export default command({
  name: "sample",
  summary: "write text with a trained run",
  examples: [
    'theseus sample first "The people of"',
    'theseus sample first@best "We" --temperature 0.7 --top-p 0.9 --seed 3',
    'theseus sample first "We" -n 4 --stop "." --json',
    "theseus sample first --prompts questions.txt --batch 16 --json",
  ],
  args: {
    model: {
      type: "positional",
      required: true,
      description: "RUN, RUN@best, RUN@step-000123, a folder, or hf:org/name",
    },
    prompt: { type: "positional", required: false, description: "text to continue" },
    ...rootArgs,
    prompts: {
      type: "string",
      valueHint: "FILE",
      description: 'a prompt a line, or JSON lines {"prompt": ...}, instead of PROMPT',
    },
    tokens: { type: "string", default: "400", description: "tokens to write at most" },
    answers: { type: "string", default: "1", alias: "n", description: "texts for each prompt" },
    batch: { type: "string", default: "8", description: "texts that are worked on together" },
    context: {
      type: "string",
      description: "tokens that are looked back on (default: what the model takes, up to 4096)",
    },
    ...samplingArgs,
    ...precisionArgs,
    ...deviceArgs,
  },
  repeated: { ...loadArgs, stop: { description: "text that ends the answer", valueHint: "TEXT" } },
  async run({ args, repeated }) {
    await loadUserCode(repeated.load);
    const sampling = samplingOf(args);
    const maxTokens = numberOf(args.tokens, "tokens", { low: 1, integer: true });
    const answers = numberOf(args.answers, "answers", { low: 1, integer: true });
    const batch = numberOf(args.batch, "batch", { low: 1, integer: true });
    if (args.prompts !== undefined && args.prompt !== undefined)
      throw new UsageError("PROMPT and --prompts exclude each other");
    const prompts = args.prompts === undefined ? [args.prompt ?? ""] : readPrompts(args.prompts);
    const context =
      args.context === undefined
        ? {}
        : { context: numberOf(args.context, "context", { low: 1, integer: true }) };
    const json = args.json === true;
    const files = await modelFiles(args.model, rootOf(undefined, args.root));
    const stop = interruption("stopping");
    const one = prompts.length * answers === 1;
    // The prompt is shown with the first text, that is, not where it is refused.
    let head = prompts[0] ?? "";
    const write = (text: string) => {
      writeText(`${head}${text}`);
      head = "";
    };
    const live = one ? { onText: write } : { onSample: show(prompts, answers) };
    try {
      const samples = await sampleTexts({
        ...{ ...files, ...sampling, prompts, answers, batch, maxTokens },
        ...{ ...precisionOf(args.precision), ...deviceOf(args.device), ...context },
        ...{ stop: repeated.stop, signal: stop.signal, ...(json ? {} : live) },
      });
      const text = samples.map(({ prompt, answer, text, tokens, reason }) => ({
        ...{ prompt: prompts[prompt], answer, text, tokens, finish_reason: reason },
      }));
      const first = one ? { prompt: prompts[0], text: samples[0]?.text } : {};
      const all = { schema_version: 1, ...first, maxTokens, ...sampling, samples: text };
      if (json) process.stdout.write(`${JSON.stringify(all)}\n`);
      else if (one) write("\n");
    } finally {
      stop.release();
    }
    return 0;
  },
});
