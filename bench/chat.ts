/**
 * @file How fast conversations become text, spans and masks: `bun bench/chat.ts [TEMPLATE.jinja]`. Rendering with the spans of
 * the loss mask is what this room does; the encoder's time is shown beside it.
 */
import { readFileSync } from "node:fs";
import { bytesTokenizer } from "../src/data/bytes_tokenizer.ts";
import { BUILTIN_TEMPLATES } from "../src/data/chat/builtin_templates.ts";
import { ChatTemplate } from "../src/data/chat/chat_template.ts";
import { readConversation } from "../src/data/chat/read_conversation.ts";
import { renderConversation } from "../src/data/chat/render_conversation.ts";
import { SpecialTexts } from "../src/data/chat/special_texts.ts";
import { turnSpans } from "../src/data/chat/turn_spans.ts";

const FIXTURES = new URL("../tests/fixtures/chat/templates/", import.meta.url).pathname;
const special = { bos_token: "<s>", eos_token: "<|im_end|>" };
const sources: Record<string, string> = { chatml: BUILTIN_TEMPLATES.chatml?.source ?? "" };
for (const path of process.argv.slice(2)) sources[path] = readFileSync(path, "utf8");
if (process.argv.length === 2)
  for (const name of ["qwen3", "llama3", "mistral_nemo"])
    sources[name] = readFileSync(`${FIXTURES}${name}.jinja`, "utf8");

const words =
  "the model reads a question, thinks about it for a while and then writes what it found\n";
const lines = Array.from({ length: 400 }, (_, i) =>
  JSON.stringify({
    messages: Array.from({ length: 6 }, (_, turn) => ({
      role: turn % 2 === 0 ? "user" : "assistant",
      content: `${i}.${turn} ${words.repeat(1 + ((i + turn) % 8))}`,
    })),
  }),
);

const marks = new SpecialTexts(["<|im_start|>", "<|im_end|>", "<|eot_id|>", "</s>"]);

/** Best of eight passes over all conversations, in MB of rendered text a second of CPU: other work on the machine counts less. */
function rate(run: (line: string) => string): string {
  let best = 0;
  for (let pass = 0; pass < 8; pass += 1) {
    let bytes = 0;
    const start = process.cpuUsage();
    for (const line of lines) bytes += Buffer.byteLength(run(line));
    const { user, system } = process.cpuUsage(start);
    best = Math.max(best, bytes / (user + system));
  }
  return best.toFixed(0).padStart(6);
}

console.log("MB/s           render   + spans   + bytes and mask");
for (const [name, source] of Object.entries(sources)) {
  const template = new ChatTemplate({ name, source, special });
  const read = (line: string) => readConversation(JSON.parse(line));
  const rendered = rate((line) => template.render(read(line)).text);
  const spans = rate((line) => {
    const conversation = read(line);
    const chat = template.render(conversation);
    turnSpans({ conversation, template, chat, special: marks });
    return chat.text;
  });
  const masks = rate((line) => renderConversation(read(line), template, bytesTokenizer).text);
  console.log(`${name.padEnd(15)}${rendered}    ${spans}    ${masks}`);
}
