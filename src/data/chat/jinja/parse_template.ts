/** @file Statements: the tree of a whole template. What needs other templates (include, extends ...) is refused. */
import type { Branch, Expression, Parameter, Statement, Target } from "./ast.ts";
import { tokensOf } from "./lexer.ts";
import {
  parseExpression,
  parseFilterChain,
  parsePostfix,
  parsePrimary,
  parseTuple,
  parseWithoutChoice,
} from "./parse_expression.ts";
import { TokenStream } from "./token_stream.ts";

export function parseTemplate(source: string): readonly Statement[] {
  const stream = new TokenStream(tokensOf(source));
  const body = parseBody(stream, []);
  stream.expect("end");
  return body;
}

/** Statements up to a block that begins with one of `ends`, whose `{%` is consumed. */
function parseBody(stream: TokenStream, ends: readonly string[]): Statement[] {
  const body: Statement[] = [];
  for (;;) {
    const { type, text, line } = stream.current;
    if (type === "end") {
      if (ends.length > 0)
        stream.fail(`the template ends where {% ${ends.join(" %} or {% ")} %} was expected`);
      return body;
    }
    stream.next();
    if (type === "text") body.push({ kind: "text", text, line });
    else if (type === "output_begin") {
      body.push({ kind: "output", value: parseTuple(stream), line });
      stream.expect("output_end");
    } else {
      if (stream.is("name") && ends.includes(stream.current.text)) return body;
      body.push(parseStatement(stream, line));
    }
  }
}

function block(stream: TokenStream, ...ends: readonly string[]): Statement[] {
  stream.expect("block_end");
  return parseBody(stream, ends);
}

/** A body whose end tag closes the statement. */
function closed(stream: TokenStream, end: string): Statement[] {
  const body = block(stream, end);
  stream.next();
  stream.expect("block_end");
  return body;
}

type Parse = (stream: TokenStream, line: number) => Statement;

const STATEMENTS: ReadonlyMap<string, Parse> = new Map<string, Parse>([
  ["set", parseSet],
  ["if", parseIf],
  ["for", parseFor],
  ["macro", parseMacro],
  ["call", parseCallBlock],
  ["filter", parseFilterBlock],
  ["with", parseWith],
  [
    "generation",
    (stream, line) => ({ kind: "generation", body: closed(stream, "endgeneration"), line }),
  ],
  ["break", (stream, line) => bare(stream, { kind: "break", line })],
  ["continue", (stream, line) => bare(stream, { kind: "continue", line })],
]);

const OTHER_TEMPLATES = new Set(["include", "import", "from", "extends", "block", "autoescape"]);

function bare(stream: TokenStream, statement: Statement): Statement {
  stream.expect("block_end");
  return statement;
}

function parseStatement(stream: TokenStream, line: number): Statement {
  const { text } = stream.expect("name");
  const parse = STATEMENTS.get(text);
  if (parse !== undefined) return parse(stream, line);
  if (OTHER_TEMPLATES.has(text)) stream.unsupported(`{% ${text} %} needs other templates`);
  return stream.fail(`unknown statement {% ${text} %}`, line);
}

function parseTarget(stream: TokenStream, withNamespace: boolean): Target {
  const items = [parseOneTarget(stream, withNamespace)];
  let isTuple = false;
  while (stream.skip("operator", ",")) {
    isTuple = true;
    if (!stream.is("name") && !stream.isOperator("(")) break;
    if (stream.is("name", "in")) break;
    items.push(parseOneTarget(stream, withNamespace));
  }
  const [only] = items;
  return isTuple || only === undefined ? { kind: "tuple", items } : only;
}

function parseOneTarget(stream: TokenStream, withNamespace: boolean): Target {
  if (stream.skip("operator", "(")) {
    const inner = parseTarget(stream, withNamespace);
    stream.expect("operator", ")");
    return inner;
  }
  const { text: name } = stream.expect("name");
  if (!withNamespace || !stream.skip("operator", ".")) return { kind: "name", name };
  return { kind: "namespace", name, attribute: stream.expect("name").text };
}

function parseSet(stream: TokenStream, line: number): Statement {
  const target = parseTarget(stream, true);
  if (stream.skip("operator", "=")) {
    const value = parseTuple(stream);
    stream.expect("block_end");
    return { kind: "set", target, value, line };
  }
  const filter = stream.skip("operator", "|") ? parseFilterChain(stream) : undefined;
  return { kind: "set_block", target, filter, body: closed(stream, "endset"), line };
}

function parseIf(stream: TokenStream, line: number): Statement {
  const branches: Branch[] = [];
  for (;;) {
    const test = parseTuple(stream);
    branches.push({ test, body: block(stream, "elif", "else", "endif") });
    if (!stream.skip("name", "elif")) break;
  }
  let otherwise: Statement[] = [];
  if (stream.skip("name", "else")) otherwise = block(stream, "endif");
  stream.expect("name", "endif");
  stream.expect("block_end");
  return { kind: "if", branches, otherwise, line };
}

function parseFor(stream: TokenStream, line: number): Statement {
  const target = parseTarget(stream, false);
  stream.expect("name", "in");
  const over = parseWithoutChoice(stream);
  const filter = stream.skip("name", "if") ? parseExpression(stream) : undefined;
  if (stream.is("name", "recursive")) stream.unsupported("recursive loops are not supported");
  const body = block(stream, "endfor", "else");
  const otherwise = stream.skip("name", "else") ? block(stream, "endfor") : [];
  stream.expect("name", "endfor");
  stream.expect("block_end");
  return { kind: "for", target, over, filter, body, otherwise, line };
}

function parseParameters(stream: TokenStream): Parameter[] {
  stream.expect("operator", "(");
  const parameters: Parameter[] = [];
  while (!stream.isOperator(")")) {
    if (parameters.length > 0) stream.expect("operator", ",");
    const { text: name } = stream.expect("name");
    const value = stream.skip("operator", "=") ? parseExpression(stream) : undefined;
    if (value === undefined && parameters.at(-1)?.value !== undefined)
      stream.fail("a parameter without a default follows one that has one");
    parameters.push({ name, value });
  }
  stream.expect("operator", ")");
  return parameters;
}

function parseMacro(stream: TokenStream, line: number): Statement {
  const { text: name } = stream.expect("name");
  const parameters = parseParameters(stream);
  return { kind: "macro", name, parameters, body: closed(stream, "endmacro"), line };
}

function parseCallBlock(stream: TokenStream, line: number): Statement {
  const parameters = stream.isOperator("(") ? parseParameters(stream) : [];
  const call: Expression = parsePostfix(stream, parsePrimary(stream));
  if (call.kind !== "call") stream.fail("{% call %} expects a call", line);
  return { kind: "call_block", parameters, call, body: closed(stream, "endcall"), line };
}

function parseFilterBlock(stream: TokenStream, line: number): Statement {
  const filter = parseFilterChain(stream);
  return { kind: "filter_block", filter, body: closed(stream, "endfilter"), line };
}

function parseWith(stream: TokenStream, line: number): Statement {
  const values: [Target, Expression][] = [];
  while (!stream.is("block_end")) {
    if (values.length > 0) stream.expect("operator", ",");
    const target = parseTarget(stream, false);
    stream.expect("operator", "=");
    values.push([target, parseExpression(stream)]);
  }
  return { kind: "with", values, body: closed(stream, "endwith"), line };
}
