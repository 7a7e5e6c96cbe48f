/**
 * @file Templates over the fields of a record ("Question: {{question}}\nAnswer:"), as evaluation tasks write them: Jinja where a field that
 * is not there is an error. What Hugging Face's Jinja lacks of Python's (methods of lists, regex_replace) is added here.
 */
import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";
import { ConfigError, DataError } from "../util/errors.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** A value as it stands in the interpreter. */
interface Runtime {
  readonly type: string;
  readonly value: unknown;
}

interface Node {
  type: string;
  [key: string]: unknown;
}

const isNode = (value: unknown): value is Node =>
  typeof value === "object" && value !== null && typeof (value as Node).type === "string";

const call = (name: string, args: readonly unknown[]): Node => ({
  type: "CallExpression",
  callee: { type: "Identifier", value: name },
  args,
});

/** Methods that the interpreter does not know, as functions of the object. */
const METHODS: Readonly<Record<string, string>> = { index: "__index", count: "__count" };

/** The same tree with those methods and filters as calls of functions. */
function completed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(completed);
  if (!isNode(value)) return value;
  for (const [key, child] of Object.entries(value)) value[key] = completed(child);
  if (value.type === "CallExpression" && isNode(value.callee)) {
    const { callee } = value;
    const property = isNode(callee.property) ? String(callee.property.value) : "";
    const method = callee.type === "MemberExpression" ? METHODS[property] : undefined;
    if (method !== undefined) return call(method, [callee.object, ...(value.args as unknown[])]);
  }
  if (value.type === "FilterExpression" && isNode(value.filter)) {
    const { filter } = value;
    const named = isNode(filter.callee) ? filter.callee.value : filter.value;
    if (named === "regex_replace")
      return call("__regex_replace", [value.operand, ...((filter.args as unknown[]) ?? [])]);
  }
  return value;
}

const plain = (value: unknown): unknown => {
  if (value instanceof Map)
    return Object.fromEntries([...value].map(([key, each]) => [key, plain(each.value)]));
  return Array.isArray(value) ? value.map((each) => plain((each as Runtime).value)) : value;
};

/** A pattern of Python's `re` for JavaScript; throws a ConfigError for what differs too much. */
export function pythonRegex(pattern: string, flags = ""): RegExp {
  const inline = /^\(\?([aimsux]+)\)/.exec(pattern);
  const all = new Set(`${flags}${inline?.[1] ?? ""}`.replaceAll(/[aux]/g, ""));
  const source = (inline === null ? pattern : pattern.slice(inline[0].length))
    .replaceAll("(?P<", "(?<")
    .replaceAll(/\(\?P=(\w+)\)/g, "\\k<$1>")
    .replaceAll("\\A", "^")
    .replaceAll("\\Z", "$");
  if (inline?.[1]?.includes("x"))
    throw new ConfigError(`the pattern ${JSON.stringify(pattern)} is verbose, which is not known`);
  try {
    return new RegExp(source, [...all].join(""));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ConfigError(`the pattern ${JSON.stringify(pattern)} cannot be used: ${why}`);
  }
}

const HELPERS = {
  __index(list: unknown, item: unknown) {
    const at =
      typeof list === "string"
        ? list.indexOf(String(item))
        : (list as Runtime[]).findIndex(({ value }) => value === item);
    if (at === -1) throw new Error(`${JSON.stringify(item)} is not in the list`);
    return at;
  },
  __count: (list: unknown, item: unknown) =>
    typeof list === "string"
      ? list.split(String(item)).length - 1
      : (list as Runtime[]).filter(({ value }) => value === item).length,
  __regex_replace: (text: string, pattern: string, replacement: string) =>
    text.replaceAll(
      pythonRegex(pattern, "g"),
      replacement.replaceAll("$", "$$$$").replaceAll(/\\(\d)/g, "$$$1"),
    ),
};

/** As Python's str() shows a value. */
export function pythonText(value: unknown): string {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(pythonRepr).join(", ")}]`;
  if (typeof value !== "object") return String(value);
  const entries = Object.entries(value).map(([k, v]) => `${pythonRepr(k)}: ${pythonRepr(v)}`);
  return `{${entries.join(", ")}}`;
}

function pythonRepr(value: unknown): string {
  if (typeof value !== "string") return pythonText(value);
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  const escaped = value
    .replaceAll("\\", "\\\\")
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r")
    .replaceAll("\t", "\\t");
  return quote + (quote === "'" ? escaped.replaceAll("'", "\\'") : escaped) + quote;
}

const STATEMENTS = new Set(["Set", "If", "For", "Macro", "CallStatement", "FilterStatement"]);

export class TextTemplate {
  readonly source: string;
  private readonly body: readonly Node[];

  constructor(source: string) {
    this.source = source;
    try {
      const tokens = tokenize(source, { lstrip_blocks: false, trim_blocks: false });
      const program = completed(parse(tokens)) as unknown as { readonly body: readonly Node[] };
      this.body = program.body;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new ConfigError(`the template ${JSON.stringify(source)} cannot be read: ${why}`);
    }
  }

  /** The text for one record. */
  text(fields: Fields): string {
    const text = this.values(fields)
      .map((value) => (typeof value === "string" ? value : pythonText(value)))
      .join("");
    // Jinja drops a line end that ends the template; tasks mean what they write.
    const dropped = this.source.endsWith("\n") && this.body.at(-1)?.type === "StringLiteral";
    return dropped && !text.endsWith("\n") ? `${text}\n` : text;
  }

  /** The value where the template is one expression, else the text. */
  value(fields: Fields): unknown {
    const [only, ...more] = this.body;
    if (only === undefined || more.length > 0 || STATEMENTS.has(only.type))
      return this.text(fields);
    return this.values(fields)[0];
  }

  private values(fields: Fields): unknown[] {
    const environment = new Environment();
    for (const [name, value] of Object.entries({ ...HELPERS, ...fields }))
      environment.set(name, value);
    const interpreter = new Interpreter(environment);
    try {
      return this.body.map((node) => {
        const result = interpreter.evaluate(node as never, environment) as Runtime;
        if (result.type === "UndefinedValue" && !STATEMENTS.has(node.type))
          throw new Error("a field is missing");
        return STATEMENTS.has(node.type) && result.type === "NullValue" ? "" : plain(result.value);
      });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const names = Object.keys(fields).join(", ");
      throw new DataError(`the template ${JSON.stringify(this.source)} fails on a record: ${why}`, {
        hint: `the record's fields are ${names}`,
      });
    }
  }
}
