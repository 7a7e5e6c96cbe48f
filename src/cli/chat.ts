/** @file theseus chat: a conversation at the terminal, or line by line from a pipe. */
import { type Answer, ChatSession } from "../generate/chat_session.ts";
import { PromptTooLong } from "../generate/generator.ts";
import { modelFiles } from "../jobs/model_place.ts";
import { modelTemplate } from "../jobs/model_template.ts";
import { openTextModel } from "../jobs/text_model.ts";
import { UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { ChatTerminal } from "./chat_terminal.ts";
import { command } from "./command.ts";
import { deviceArgs, deviceOf } from "./device_args.ts";
import { numberOf, precisionArgs, precisionOf, samplingArgs, samplingOf } from "./numbers.ts";
import { rootArgs, rootOf } from "./place.ts";
import { writeText } from "./terminal_text.ts";
import { loadArgs, loadUserCode } from "./user_code.ts";

const HELP = `/reset         begin anew
/system TEXT   begin anew with these instructions; without TEXT: without any
/help          this list
/quit          end, as does Ctrl-D
Ctrl-C stops an answer; what was said of it stays in the conversation.`;

/** Whether the line was a command, and whether the chat goes on after it. */
function slash(line: string, session: ChatSession): "ended" | "done" | "none" {
  if (!line.startsWith("/")) return "none";
  const [word = "", ...rest] = line.split(" ");
  const text = rest.join(" ").trim();
  if (word === "/quit") return "ended";
  if (word === "/reset") session.reset();
  else if (word === "/system") session.reset(text);
  else if (word === "/help") log.info(HELP);
  else log.warn(`unknown command ${word}; /help lists them`);
  if (word === "/reset" || word === "/system") {
    const { system } = session;
    log.info(`a new conversation${system === "" ? "" : `, with the instructions: ${system}`}`);
  }
  return "done";
}

function report(answer: Answer, context: number): void {
  if (answer.forgotten > 0)
    log.warn(`the context of ${context} tokens is full: older turns were forgotten`);
  if (answer.reason === "length") log.warn("the answer was cut at its longest");
}

export default command({
  name: "chat",
  summary: "talk to a model at the terminal",
  examples: [
    "theseus chat first",
    'theseus chat hf:org/name --system "Answer in one sentence." --temperature 0.7',
    "theseus chat first --json < questions.txt",
  ],
  args: {
    model: {
      type: "positional",
      required: true,
      description: "RUN, RUN@best, RUN@step-000123, a folder, or hf:org/name",
    },
    ...rootArgs,
    system: { type: "string", default: "", description: "instructions for the whole conversation" },
    tokens: { type: "string", description: "most of an answer (default: what the context holds)" },
    context: {
      type: "string",
      description: "tokens of the conversation (default: what the model takes, up to 4096)",
    },
    template: {
      type: "string",
      default: "auto",
      description: "chat template: auto, chatml, llama3, plain, raw, or a file",
    },
    ...samplingArgs,
    ...precisionArgs,
    ...deviceArgs,
  },
  repeated: loadArgs,
  async run({ args, repeated }) {
    await loadUserCode(repeated.load);
    const sampling = samplingOf(args);
    const whole = { low: 1, integer: true } as const;
    const maxTokens = args.tokens === undefined ? null : numberOf(args.tokens, "tokens", whole);
    const context =
      args.context === undefined ? {} : { context: numberOf(args.context, "context", whole) };
    const files = await modelFiles(args.model, rootOf(undefined, args.root));
    const model = await openTextModel(
      { ...files, ...deviceOf(args.device) },
      {
        ...{ rows: 1, ...context, ...precisionOf(args.precision) },
      },
    );
    const terminal = new ChatTerminal("> ");
    const json = args.json === true;
    try {
      const template = modelTemplate(args.template, model);
      const session = new ChatSession({ ...model, template }, args.system);
      if (!json && process.stdin.isTTY === true) log.info("/help lists commands, /quit ends");
      for (let line = await terminal.next(); line !== null; line = await terminal.next()) {
        const kind = slash(line.trim(), session);
        if (kind === "ended") break;
        if (kind === "done" || line.trim() === "") continue;
        const text = line;
        try {
          const answer = await terminal.during((signal) =>
            session.say(text, {
              ...{ maxTokens, sampling, signal },
              ...(json ? {} : { onText: writeText }),
            }),
          );
          const { tokens, reason, forgotten } = answer;
          const said = { schema_version: 1, role: "assistant", content: answer.text.trim() };
          const all = { ...said, finish_reason: reason, tokens: tokens.length, forgotten };
          process.stdout.write(json ? `${JSON.stringify(all)}\n` : "\n");
          report(answer, model.generator.places);
        } catch (error) {
          // What one message made impossible does not end the chat.
          if (!(error instanceof PromptTooLong)) throw error;
          if (json) throw new UserError(error.message, { code: error.code });
          log.error(error.message);
        }
      }
    } finally {
      terminal.close();
      model.close();
    }
    return 0;
  },
});
