/** @file A chat template with the variables it is rendered with, and how a conversation is handed to it. */
import { ConfigError, DataError } from "../../util/errors.ts";
import { type Conversation, type Message, recordError } from "./conversation.ts";
import { JinjaTemplate, type Rendered } from "./jinja/template.ts";
import { TemplateError } from "./jinja/template_error.ts";
import { type Dict, toValue, type Value } from "./jinja/values.ts";

export interface TemplateParts {
  /** For errors: `chatml`, or the file. */
  readonly name: string;
  readonly source: string;
  /** The template for conversations with tools, where the model has one of its own for them. */
  readonly toolSource?: string | undefined;
  /** `bos_token`, `eos_token` ...: the tokenizer's special tokens by their use. */
  readonly special: Readonly<Record<string, string>>;
  /** Further variables, such as enable_thinking. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  /** The day that templates write; undefined: today. */
  readonly date?: string | undefined;
  /** Texts that turns are made of, of a template of our own. */
  readonly markers?: readonly string[] | undefined;
}

/** A rendered conversation, with the dicts of its messages as the trace knows them. */
export interface RenderedChat extends Rendered {
  readonly dicts: readonly Dict[];
}

export interface RenderOptions {
  readonly addGenerationPrompt?: boolean;
  /** Applied to every text of the messages and tools before the template sees it. */
  readonly rewrite?: ((text: string) => string) | undefined;
}

const REASONING = ["reasoning_content", "thinking", "reasoning"] as const;

/** As transformers does it: reasoning under any of its names is there under all that templates read. */
function withReasoning(
  fields: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const name = REASONING.find((key) => fields[key] !== undefined && fields[key] !== null);
  if (name === undefined) return fields;
  return { thinking: fields[name], ...fields, reasoning_content: fields[name] };
}

function rewritten(value: Value, rewrite: (text: string) => string): Value {
  if (typeof value === "string") return rewrite(value);
  if (Array.isArray(value)) return value.map((item) => rewritten(item, rewrite));
  if (value instanceof Map)
    return new Map([...value].map(([key, item]) => [key, rewritten(item, rewrite)]));
  return value;
}

/** The role is one of a few words and stays as it is. */
function messageDict(message: Message, options: RenderOptions): Dict {
  const dict = toValue(withReasoning(message.fields)) as Dict;
  const { rewrite } = options;
  if (rewrite === undefined) return dict;
  for (const [key, value] of dict) if (key !== "role") dict.set(key, rewritten(value, rewrite));
  return dict;
}

/** The same conversation for templates that want a text where there is none, or arguments of tools as JSON text. */
type Variant = (fields: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>;

const emptyContent: Variant = (fields) =>
  fields.content === null ? { ...fields, content: "" } : fields;

const textArguments: Variant = (fields) => {
  const calls = fields.tool_calls;
  if (!Array.isArray(calls)) return fields;
  const spelled = calls.map((call) => {
    const inner = call.function ?? call;
    if (typeof inner.arguments !== "object") return call;
    const filled = { ...inner, arguments: JSON.stringify(inner.arguments) };
    return call.function === undefined ? filled : { ...call, function: filled };
  });
  return { ...fields, tool_calls: spelled };
};

const AS_IT_IS: Variant = (fields) => fields;

const VARIANTS: readonly Variant[] = [
  AS_IT_IS,
  emptyContent,
  textArguments,
  (fields) => emptyContent(textArguments(fields)),
];

export class ChatTemplate {
  readonly name: string;
  /** Jinja, as folders of models hold it. */
  readonly source: string;
  readonly markers: readonly string[];
  readonly special: Readonly<Record<string, string>>;
  /** SHA-256 in hex of all that decides what a conversation becomes. */
  readonly fingerprint: string;
  private readonly template: JinjaTemplate;
  private readonly toolTemplate: JinjaTemplate;
  private readonly variables: ReadonlyMap<string, Value>;
  private readonly now: () => Date;
  /** Templates change nothing, so that one dict serves all renderings of a message. */
  private readonly dicts = new WeakMap<Message, Dict>();

  constructor(parts: TemplateParts) {
    const { name, source, toolSource, special, variables = {}, date } = parts;
    this.name = name;
    this.source = source;
    this.special = special;
    this.markers = parts.markers ?? [];
    this.template = compiled(name, source);
    this.toolTemplate = toolSource === undefined ? this.template : compiled(name, toolSource);
    this.variables = toValue({ ...special, ...variables }) as ReadonlyMap<string, Value>;
    const day = date === undefined ? undefined : dayOf(date);
    this.now = () => day ?? new Date();
    const usesDate = this.template.usesDate || this.toolTemplate.usesDate;
    const decides = [
      1,
      source,
      toolSource ?? null,
      sorted(special),
      sorted(variables),
      usesDate ? (date ?? today()) : "",
    ];
    this.fingerprint = new Bun.CryptoHasher("sha256").update(JSON.stringify(decides)).digest("hex");
  }

  /** Whether the template writes the date of the day: such data should be made with `date` set. */
  get dependsOnToday(): boolean {
    return this.template.usesDate || this.toolTemplate.usesDate;
  }

  marksGeneration(conversation: Conversation): boolean {
    return this.jinjaFor(conversation).hasGeneration;
  }

  private jinjaFor(conversation: Conversation): JinjaTemplate {
    return conversation.tools === undefined ? this.template : this.toolTemplate;
  }

  render(conversation: Conversation, options: RenderOptions = {}): RenderedChat {
    this.checkNothingLost(conversation);
    let first: unknown;
    for (const variant of variantsFor(conversation)) {
      try {
        return this.renderVariant(conversation, variant, options);
      } catch (error) {
        first ??= error;
        const mayFit = error instanceof TemplateError && error.reason === "failed";
        if (!mayFit) throw this.located(error, conversation);
      }
    }
    throw this.located(first, conversation);
  }

  private dictOf(message: Message): Dict {
    let dict = this.dicts.get(message);
    if (dict === undefined) {
      dict = messageDict(message, {});
      this.dicts.set(message, dict);
    }
    return dict;
  }

  private renderVariant(
    conversation: Conversation,
    variant: Variant,
    options: RenderOptions,
  ): RenderedChat {
    const dicts = conversation.messages.map((message) =>
      variant === AS_IT_IS && options.rewrite === undefined
        ? this.dictOf(message)
        : messageDict({ ...message, fields: variant(message.fields) }, options),
    );
    const { rewrite } = options;
    const given = (data: unknown): Value =>
      rewrite === undefined ? toValue(data) : rewritten(toValue(data), rewrite);
    const variables = new Map<string, Value>([
      ["documents", null],
      ...this.variables,
      ...(given(conversation.variables) as Map<string, Value>),
      ["messages", dicts],
      ["tools", given(conversation.tools ?? null)],
      ["add_generation_prompt", options.addGenerationPrompt === true],
    ]);
    return { ...this.jinjaFor(conversation).render(variables, this.now), dicts };
  }

  /** A template that never reads a part of the conversation would leave it out of the data without a word. */
  private checkNothingLost({ messages, tools, place }: Conversation): void {
    const { source } = tools === undefined ? this.template : this.toolTemplate;
    const lost = (what: string, field: string): DataError =>
      recordError(
        place,
        field,
        `the template ${this.name} does not write ${what}, which this conversation has`,
        "choose a template that does, or take them out of the data",
      );
    if (tools !== undefined && !/\btools\b/.test(source)) throw lost("tools", "tools");
    messages.forEach(({ fields }, i) => {
      if (fields.tool_calls !== undefined && !source.includes("tool_call"))
        throw lost("tool calls", `messages[${i}].tool_calls`);
      const reasons = REASONING.some(
        (key) => typeof fields[key] === "string" && fields[key] !== "",
      );
      if (reasons && !/reasoning|thinking/.test(source)) throw lost("reasoning", `messages[${i}]`);
    });
  }

  private located(error: unknown, { place }: Conversation): unknown {
    if (!(error instanceof TemplateError)) return error;
    const where = error.line === undefined ? this.name : `${this.name}, line ${error.line}`;
    if (error.reason === "raised")
      return recordError(
        place,
        "",
        `the template (${where}) refuses this conversation: ${error.message}`,
      );
    const verb =
      error.reason === "unsupported"
        ? "uses what theseus does not support"
        : "fails on this conversation";
    return recordError(place, "", `the template (${where}) ${verb}: ${error.message}`);
  }
}

function variantsFor({ messages }: Conversation): readonly Variant[] {
  const mayDiffer = messages.some(
    ({ fields }) => fields.content === null || fields.tool_calls !== undefined,
  );
  return mayDiffer ? VARIANTS : VARIANTS.slice(0, 1);
}

function compiled(name: string, source: string): JinjaTemplate {
  try {
    return new JinjaTemplate(source);
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    const kind = error.reason === "unsupported" ? "is not supported" : "cannot be read";
    throw new DataError(`the chat template ${name} ${kind}: ${error.message}`, {
      place: { path: name, ...(error.line === undefined ? {} : { line: error.line }) },
    });
  }
}

function dayOf(date: string): Date {
  const day = new Date(`${date}T12:00:00`);
  if (!/^\d{4}-\d\d-\d\d$/.test(date) || Number.isNaN(day.getTime()))
    throw new ConfigError(`expected a date like 2025-01-31, got ${JSON.stringify(date)}`);
  return day;
}

const today = (): string => new Date().toISOString().slice(0, 10);

const sorted = (object: Readonly<Record<string, unknown>>): [string, unknown][] =>
  Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1));
