/** @file The job data/tokenize: text becomes a folder of tokens, documents end to end. */
import { sourceFields } from "../data/sources/fields.ts";
import { textFields, tokensFields } from "../data/tokenize/fields.ts";
import { defineTask } from "./define_task.ts";

export const dataTokenize = defineTask({
  name: "data/tokenize",
  doc: "turn text into tokens for training",
  uses: [{ config: sourceFields }, { config: tokensFields }, { config: textFields }],
  free: ["tokens/workers"],
  async run(context) {
    const { resolveSource } = await import("../data/sources/resolve.ts");
    const { runTokenization } = await import("./run_tokenization.ts");
    const source = context.config.values(sourceFields);
    const { files, textField } = await resolveSource(source, "text");
    const text = { ...context.config.values(textFields), textField };
    return runTokenization(context, { kind: "stream", files, text, chat: null });
  },
});
