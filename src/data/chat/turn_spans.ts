/**
 * @file Which characters of a rendered conversation the model learns to write: of every trained assistant's turn, what follows
 * the generation prompt, up to and with the mark that ends the turn. White space after that mark is the template's.
 *
 * A template that has {% generation %} says it itself. For others the engine knows which stretch was written while a loop
 * stood at the message, so a template may drop earlier thinking or merge turns without any turn being taken for another.
 * What comes before the model's own words in that stretch is found by rendering the conversation up to the turn with a
 * generation prompt. A template that writes no turn in a loop of its own is rendered prefix by prefix, and refused when the
 * prefixes do not hold.
 */
import type { ChatTemplate, RenderedChat } from "./chat_template.ts";
import { type Conversation, type Message, recordError } from "./conversation.ts";
import type { SpecialTexts } from "./special_texts.ts";

export interface Span {
  readonly start: number;
  readonly end: number;
}

interface Job {
  readonly conversation: Conversation;
  readonly template: ChatTemplate;
  readonly chat: RenderedChat;
  readonly special: SpecialTexts;
}

function refuse({ conversation, template }: Job, index: number, why: string): never {
  throw recordError(
    conversation.place,
    `messages[${index}]`,
    `the loss mask of this turn is not certain with the template ${template.name}: ${why}`,
    "mark what the model writes with {% generation %} ... {% endgeneration %} in the template",
  );
}

export function turnSpans(job: Job): Span[] {
  const { conversation, template, chat } = job;
  if (template.marksGeneration(conversation)) return markedSpans(job);
  const stretches = chat.dicts.map((dict) => chat.trace.loops.filter(({ item }) => item === dict));
  return conversation.messages.flatMap((message, i) => {
    if (!message.train) return [];
    const [stretch, second] = stretches[i] ?? [];
    if (stretch === undefined && stretches.some((each) => each.length > 0))
      return silentTurn(job, message, i);
    const span =
      stretch === undefined || second !== undefined
        ? prefixSpan(job, i)
        : tracedSpan(job, i, stretch);
    return span.end > span.start ? [span] : [];
  });
}

/** A loop that wrote other messages wrote nothing for this one: right for a turn without words only. */
function silentTurn(job: Job, { fields }: Message, index: number): Span[] {
  const empty =
    (fields.content === null || fields.content === "") && fields.tool_calls === undefined;
  return empty ? [] : refuse(job, index, "the template writes nothing for it");
}

/** Each marked stretch belongs to the message that the loop stood at, or they go with the assistants' turns in order. */
function markedSpans(job: Job): Span[] {
  const { conversation, chat } = job;
  const { generations, loops, hiddenGenerations } = chat.trace;
  const turns = conversation.messages.flatMap(({ role }, i) => (role === "assistant" ? [i] : []));
  if (hiddenGenerations > 0)
    refuse(job, turns[0] ?? 0, "{% generation %} stands inside a macro or a set block");
  const spans = generations.filter(({ start, end }) => end > start);
  const messageOf = (span: Span): number =>
    chat.dicts.findIndex((dict) =>
      loops.some(({ item, start, end }) => item === dict && start <= span.start && span.end <= end),
    );
  const owners = spans.map(messageOf);
  const inOrder = generations.length === turns.length;
  return spans.filter((span, at) => {
    const owner = owners[at] ?? -1;
    const index = owner >= 0 ? owner : inOrder ? turns[generations.indexOf(span)] : undefined;
    if (index !== undefined) return conversation.messages[index]?.train === true;
    const all = turns.every((turn) => conversation.messages[turn]?.train === true);
    return all || refuse(job, turns[0] ?? 0, "its {% generation %} blocks match no messages");
  });
}

const upTo = (conversation: Conversation, count: number): Conversation => ({
  ...conversation,
  messages: conversation.messages.slice(0, count),
});

/** Stands before a first turn that is the assistant's: templates rarely render no messages at all. */
const ANYBODY: Message = { role: "user", fields: { role: "user", content: "x" }, train: false };

/**
 * What the template gives the model to go on from before turn `index`, after all that belongs to the message before: as the
 * whole conversation has that message if it stands so before the prompt too, else as it stands without the prompt.
 */
function promptBefore(job: Job, index: number): string {
  const { template, chat } = job;
  const before =
    index === 0 ? { ...job.conversation, messages: [ANYBODY] } : upTo(job.conversation, index);
  const last = before.messages.length - 1;
  const asked = template.render(before, { addGenerationPrompt: true });
  const withPrompt = lastStretch(asked, last);
  const inWhole = index === 0 ? undefined : lastStretch(chat, last);
  if (withPrompt !== undefined && inWhole !== undefined && withPrompt.text.startsWith(inWhole.text))
    return asked.text.slice(withPrompt.start + inWhole.text.length);
  const plain = template.render(before);
  const without = lastStretch(plain, last);
  if (withPrompt === undefined || without === undefined) {
    if (asked.text.startsWith(plain.text)) return asked.text.slice(plain.text.length);
    return refuse(job, index, "the message before it is not written by a loop of its own");
  }
  if (withPrompt.text.startsWith(without.text))
    return asked.text.slice(withPrompt.start + without.text.length);
  return refuse(job, index, "a generation prompt changes the message before it");
}

function lastStretch(chat: RenderedChat, index: number): (Span & { text: string }) | undefined {
  const found = chat.trace.loops.filter(({ item }) => item === chat.dicts[index]);
  const [only] = found;
  if (only === undefined || found.length > 1) return undefined;
  return { start: only.start, end: only.end, text: chat.text.slice(only.start, only.end) };
}

function tracedSpan(job: Job, index: number, stretch: Span): Span {
  const { chat } = job;
  const turn = chat.text.slice(stretch.start, stretch.end);
  const given = givenLength(job, index, turn, promptBefore(job, index));
  const start = stretch.start + given;
  return { start, end: endOfTurn(job, start, stretch.end) };
}

/**
 * How much of a turn the generation prompt has given. A prompt that goes on otherwise than the turn (it opens a thought that
 * the turn has no more) gives what both share, back to the end of a line or of a mark.
 */
function givenLength(job: Job, index: number, turn: string, prompt: string): number {
  if (turn.startsWith(prompt)) return prompt.length;
  let shared = 0;
  while (shared < turn.length && turn[shared] === prompt[shared]) shared += 1;
  const marks = [...job.special.find(turn.slice(0, shared))].map(({ end }) => end);
  const lineEnd = turn.lastIndexOf("\n", shared - 1) + 1;
  const given = Math.max(shared === 0 ? 0 : lineEnd, bracketEnd(turn, shared), ...marks, 0);
  if (given === 0)
    refuse(job, index, `it does not begin like the generation prompt ${JSON.stringify(prompt)}`);
  return given;
}

const bracketEnd = (turn: string, shared: number): number =>
  shared === 0
    ? 0
    : Math.max(turn.lastIndexOf(">", shared - 1), turn.lastIndexOf("]", shared - 1)) + 1;

/** The mark that ends a turn; where the template writes none, the model ends it with the mark that comes next, if any. */
function endOfTurn({ chat, special, template }: Job, start: number, end: number): number {
  const marks = [...special.texts, ...Object.values(template.special), ...template.markers];
  const turn = chat.text.slice(start, end).trimEnd();
  if (marks.some((mark) => mark !== "" && turn.endsWith(mark))) return start + turn.length;
  const next = marks.filter((mark) => mark !== "" && chat.text.startsWith(mark, end));
  return end + Math.max(0, ...next.map((mark) => mark.length));
}

/** The classical way: the conversation before the turn with a prompt, and up to the turn, must both begin the whole. */
function prefixSpan(job: Job, index: number): Span {
  const { conversation, template, chat } = job;
  if (index === 0) return refuse(job, index, "nothing comes before it");
  const before = template.render(upTo(conversation, index), { addGenerationPrompt: true }).text;
  const isLast = index === conversation.messages.length - 1;
  const through = isLast ? chat.text : template.render(upTo(conversation, index + 1)).text;
  if (!through.startsWith(before))
    return refuse(job, index, "the conversation before it does not begin the rendered one");
  if (!chat.text.startsWith(through))
    return refuse(job, index, "what comes later changes how it is written");
  return { start: before.length, end: endOfTurn(job, before.length, through.length) };
}
