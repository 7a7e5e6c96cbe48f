/**
 * @file Templates over the fields of a record ("Question: {{question}}\nAnswer:"), as evaluation tasks write them: Jinja that keeps all
 * white space as it stands, and where a field that is not there is an error.
 */
import { ConfigError, DataError } from "../util/errors.ts";
import type { Statement } from "./chat/jinja/ast.ts";
import { compileBody } from "./chat/jinja/compile.ts";
import { compileExpression } from "./chat/jinja/compile_expression.ts";
import { parseTemplate } from "./chat/jinja/parse_template.ts";
import { str } from "./chat/jinja/print.ts";
import { Output, Scope } from "./chat/jinja/scope.ts";
import { Float, iterate, Tuple, toValue, Undefined, type Value } from "./chat/jinja/values.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** What a statement adds: a value of an expression, text of anything else. */
type Piece = (scope: Scope) => Value;

function pieceOf(node: Statement): Piece {
  if (node.kind === "text") return () => node.text;
  if (node.kind === "output") {
    const evaluate = compileExpression(node.value);
    return (scope) => {
      const value = evaluate(scope);
      if (value instanceof Undefined) throw new Error(value.what);
      return value;
    };
  }
  const run = compileBody([node]);
  return (scope) => {
    const out = new Output(undefined, false);
    run(out, scope);
    return out.text;
  };
}

/** Chat templates drop white space around blocks and the last line end; a sign keeps it. */
const keepingSpace = (source: string): string =>
  source.replaceAll(/\{%(?![-+])/g, "{%+").replaceAll(/(?<![-+])%\}/g, "+%}") +
  (source.endsWith("\n") ? "\n" : "");

function plain(value: Value): unknown {
  if (value instanceof Float) return value.value;
  if (value instanceof Map)
    return Object.fromEntries([...value].map(([key, each]) => [String(key), plain(each)]));
  if (Array.isArray(value) || value instanceof Tuple) return iterate(value).map(plain);
  return value;
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export class TextTemplate {
  readonly source: string;
  private readonly pieces: readonly Piece[];

  /** Throws a ConfigError where the template cannot be read. */
  constructor(source: string) {
    this.source = source;
    try {
      this.pieces = parseTemplate(keepingSpace(source)).map(pieceOf);
    } catch (error) {
      throw new ConfigError(
        `the template ${JSON.stringify(source)} cannot be read: ${reason(error)}`,
      );
    }
  }

  /** The text for one record. */
  text(fields: Fields): string {
    return this.values(fields).map(str).join("");
  }

  /** The value where the template is one expression, else the text. */
  value(fields: Fields): unknown {
    const values = this.values(fields);
    const [only] = values;
    return values.length === 1 && only !== undefined ? plain(only) : values.map(str).join("");
  }

  private values(fields: Fields): Value[] {
    const scope = new Scope(undefined);
    for (const [name, value] of Object.entries(fields)) scope.set(name, toValue(value));
    try {
      return this.pieces.map((piece) => piece(scope));
    } catch (error) {
      throw new DataError(
        `the template ${JSON.stringify(this.source)} fails on a record: ${reason(error)}`,
        { hint: `the record's fields are ${Object.keys(fields).join(", ")}` },
      );
    }
  }
}
