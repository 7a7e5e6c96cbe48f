/**
 * @file A Jinja template as transformers runs it: an immutable sandbox with trim_blocks, lstrip_blocks, loop controls,
 * `{% generation %}`, raise_exception, strftime_now, and values that print as in Python.
 */
import { bind, text } from "./arguments.ts";
import { range } from "./attributes.ts";
import { compileBody, namespaceOf, type Run } from "./compile.ts";
import { parseTemplate } from "./parse_template.ts";
import { str } from "./print.ts";
import { Output, Scope, Trace } from "./scope.ts";
import { strftime } from "./strftime.ts";
import { failed, TemplateError, unsupported } from "./template_error.ts";
import { Callable, type Dict, type Value } from "./values.ts";

export interface Rendered {
  readonly text: string;
  readonly trace: Trace;
}

const refused = (name: string): Callable =>
  new Callable(name, () => {
    throw unsupported(`${name}() is not supported`);
  });

function globals(now: () => Date): ReadonlyMap<string, Value> {
  const functions = [
    new Callable("range", range),
    new Callable("namespace", namespaceOf),
    new Callable("dict", (positional, named) => {
      const [from] = bind("dict()", ["mapping"], positional);
      if (from !== undefined && !(from instanceof Map))
        throw unsupported("dict() of a list of pairs");
      const made: Dict = new Map(from ?? []);
      for (const [key, value] of named) made.set(key, value);
      return made;
    }),
    new Callable("raise_exception", (positional, named) => {
      const [message = ""] = bind("raise_exception()", ["message"], positional, named);
      throw new TemplateError("raised", str(message));
    }),
    new Callable("strftime_now", (positional, named) => {
      const [format] = bind("strftime_now()", ["format"], positional, named);
      return strftime(text("strftime_now()", format), now());
    }),
    ...["cycler", "joiner", "lipsum"].map(refused),
  ];
  return new Map(functions.map((made) => [made.name, made]));
}

export class JinjaTemplate {
  private readonly run: Run;
  /** Whether the template marks what the model says itself. */
  readonly hasGeneration: boolean;
  /** Whether its text depends on the date. */
  readonly usesDate: boolean;

  private globals: ReadonlyMap<string, Value> | undefined;
  private globalsNow: (() => Date) | undefined;

  constructor(readonly source: string) {
    this.run = compileBody(parseTemplate(source));
    this.hasGeneration = /\{%[-+]?\s*generation\s*[-+]?%\}/.test(source);
    this.usesDate = source.includes("strftime_now");
  }

  render(variables: ReadonlyMap<string, Value>, now: () => Date = () => new Date()): Rendered {
    if (this.globals === undefined || this.globalsNow !== now) {
      this.globals = globals(now);
      this.globalsNow = now;
    }
    const scope = new Scope(new Scope(undefined, this.globals), variables);
    const trace = new Trace();
    const out = new Output(trace, false);
    const signal = this.run(out, new Scope(scope));
    if (signal !== undefined) throw failed(`{% ${signal} %} outside of a loop`);
    return { text: out.text, trace };
  }
}
