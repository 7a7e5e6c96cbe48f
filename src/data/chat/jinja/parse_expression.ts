/**
 * @file Expressions, by the grammar of Python's Jinja: from the weakest binding, `if else`, `or`, `and`, `not`,
 * comparisons, `+ -`, `~`, `* / // %`, `**`, signs, then calls and subscripts, then filters and tests.
 */
import type { BinaryOperator, CallArgs, CompareOperator, Expression } from "./ast.ts";
import type { TokenStream } from "./token_stream.ts";

const NO_ARGS: CallArgs = { positional: [], named: [], spread: undefined, namedSpread: undefined };

export function parseExpression(stream: TokenStream): Expression {
  let yes = parseOr(stream);
  while (stream.skip("name", "if")) {
    const test = parseOr(stream);
    const no = stream.skip("name", "else") ? parseExpression(stream) : undefined;
    yes = { kind: "choose", test, yes, no };
  }
  return yes;
}

/** For `for x in HERE if ...`, where an `if` belongs to the loop. */
export const parseWithoutChoice = (stream: TokenStream): Expression =>
  parseTuple(stream, { choices: false, endsAt: (s) => s.is("name", "if", "recursive") });

interface TupleRules {
  readonly choices?: boolean;
  readonly endsAt?: (stream: TokenStream) => boolean;
  readonly parenthesized?: boolean;
}

const endsTuple = (stream: TokenStream, rules: TupleRules): boolean =>
  stream.is("output_end") ||
  stream.is("block_end") ||
  stream.isOperator(")") ||
  rules.endsAt?.(stream) === true;

/** One expression, or several with commas between. */
export function parseTuple(stream: TokenStream, rules: TupleRules = {}): Expression {
  const items: Expression[] = [];
  let isTuple = false;
  for (;;) {
    if (items.length > 0) {
      if (!stream.skip("operator", ",")) break;
      isTuple = true;
    }
    if (endsTuple(stream, rules)) break;
    items.push(rules.choices === false ? parseOr(stream) : parseExpression(stream));
  }
  const [only] = items;
  if (!isTuple && only !== undefined) return only;
  if (!isTuple && rules.parenthesized !== true)
    stream.fail(`expected an expression, got ${stream.shown()}`);
  return { kind: "tuple", items };
}

function binaryLevel(
  operators: readonly BinaryOperator[],
  type: "operator" | "name",
  below: (stream: TokenStream) => Expression,
): (stream: TokenStream) => Expression {
  return (stream) => {
    let left = below(stream);
    for (;;) {
      const operator = operators.find((text) => stream.is(type, text));
      if (operator === undefined) return left;
      stream.next();
      left = { kind: "binary", operator, left, right: below(stream) };
    }
  };
}

const parsePower = binaryLevel(["**"], "operator", (stream) => parseUnary(stream, true));
const parseProduct = binaryLevel(["*", "/", "//", "%"], "operator", parsePower);

function parseConcat(stream: TokenStream): Expression {
  const items = [parseProduct(stream)];
  while (stream.skip("operator", "~")) items.push(parseProduct(stream));
  const [only] = items;
  return items.length === 1 && only !== undefined ? only : { kind: "concat", items };
}

const parseSum = binaryLevel(["+", "-"], "operator", parseConcat);
const parseAnd = binaryLevel(["and"], "name", parseNot);
const parseOr = binaryLevel(["or"], "name", parseAnd);

function parseNot(stream: TokenStream): Expression {
  if (stream.skip("name", "not")) return { kind: "not", of: parseNot(stream) };
  return parseCompare(stream);
}

const COMPARISONS: readonly CompareOperator[] = ["==", "!=", "<", "<=", ">", ">="];

function comparison(stream: TokenStream): CompareOperator | undefined {
  const plain = COMPARISONS.find((text) => stream.isOperator(text));
  if (plain !== undefined) {
    stream.next();
    return plain;
  }
  if (stream.skip("name", "in")) return "in";
  if (!stream.is("name", "not") || stream.ahead.type !== "name" || stream.ahead.text !== "in")
    return undefined;
  stream.next();
  stream.next();
  return "not in";
}

function parseCompare(stream: TokenStream): Expression {
  const first = parseSum(stream);
  const rest: [CompareOperator, Expression][] = [];
  for (;;) {
    const operator = comparison(stream);
    if (operator === undefined) break;
    rest.push([operator, parseSum(stream)]);
  }
  return rest.length === 0 ? first : { kind: "compare", first, rest };
}

function parseUnary(stream: TokenStream, filters: boolean): Expression {
  const sign = stream.isOperator("-") ? "-" : stream.isOperator("+") ? "+" : undefined;
  if (sign !== undefined) stream.next();
  const inner: Expression =
    sign === undefined
      ? parsePrimary(stream)
      : { kind: "sign", sign, of: parseUnary(stream, false) };
  const whole = parsePostfix(stream, inner);
  return filters ? parseFilters(stream, whole) : whole;
}

const CONSTANTS: Readonly<Record<string, boolean | null>> = {
  ...{ true: true, True: true, false: false, False: false, none: null, None: null },
};

export function parsePrimary(stream: TokenStream): Expression {
  const token = stream.next();
  switch (token.type) {
    case "name": {
      const constant = Object.hasOwn(CONSTANTS, token.text) ? CONSTANTS[token.text] : undefined;
      if (constant !== undefined) return { kind: "literal", value: constant };
      return { kind: "name", name: token.text };
    }
    case "string": {
      let value = token.text;
      while (stream.is("string")) value += stream.next().text;
      return { kind: "literal", value };
    }
    case "integer":
      return { kind: "literal", value: { int: token.text } };
    case "float":
      return { kind: "literal", value: { float: Number(token.text) } };
    case "operator":
      if (token.text === "(") {
        const inner = parseTuple(stream, { parenthesized: true });
        stream.expect("operator", ")");
        return inner;
      }
      if (token.text === "[") return { kind: "list", items: parseItems(stream, "]") };
      if (token.text === "{") return parseDict(stream);
  }
  const shown = token.text === "" ? token.type.replace("_", " ") : JSON.stringify(token.text);
  return stream.fail(`expected an expression, got ${shown}`, token.line);
}

function parseItems(stream: TokenStream, end: string): Expression[] {
  const items: Expression[] = [];
  while (!stream.isOperator(end)) {
    if (items.length > 0) stream.expect("operator", ",");
    if (stream.isOperator(end)) break;
    items.push(parseExpression(stream));
  }
  stream.expect("operator", end);
  return items;
}

function parseDict(stream: TokenStream): Expression {
  const entries: [Expression, Expression][] = [];
  while (!stream.isOperator("}")) {
    if (entries.length > 0) stream.expect("operator", ",");
    if (stream.isOperator("}")) break;
    const key = parseExpression(stream);
    stream.expect("operator", ":");
    entries.push([key, parseExpression(stream)]);
  }
  stream.expect("operator", "}");
  return { kind: "dict", entries };
}

/** Attributes, subscripts and calls. */
export function parsePostfix(stream: TokenStream, start: Expression): Expression {
  let node = start;
  for (;;) {
    if (stream.skip("operator", ".")) {
      const token = stream.next();
      if (token.type === "name") node = { kind: "attribute", of: node, name: token.text };
      else if (token.type === "integer")
        node = { kind: "item", of: node, key: { kind: "literal", value: { int: token.text } } };
      else stream.fail("expected a name or a number after the dot", token.line);
    } else if (stream.skip("operator", "[")) node = parseSubscript(stream, node);
    else if (stream.isOperator("(")) node = { kind: "call", callee: node, args: parseArgs(stream) };
    else return node;
  }
}

function parseSubscript(stream: TokenStream, of: Expression): Expression {
  const ends = (): boolean => stream.isOperator("]") || stream.isOperator(",");
  const bounds: (Expression | undefined)[] = [];
  let [isSlice, expectsBound] = [false, true];
  while (!ends()) {
    if (stream.skip("operator", ":")) {
      if (expectsBound) bounds.push(undefined);
      [isSlice, expectsBound] = [true, true];
    } else if (expectsBound) {
      bounds.push(parseExpression(stream));
      expectsBound = false;
    } else break;
  }
  if (stream.isOperator(","))
    stream.unsupported("subscripts with several values are not supported");
  stream.expect("operator", "]");
  const [key] = bounds;
  if (isSlice && bounds.length <= 3) return { kind: "slice", of, bounds };
  if (key === undefined || isSlice) stream.fail("expected a subscript");
  return { kind: "item", of, key };
}

export function parseArgs(stream: TokenStream): CallArgs {
  stream.expect("operator", "(");
  const positional: Expression[] = [];
  const named: [string, Expression][] = [];
  let spread: Expression | undefined;
  let namedSpread: Expression | undefined;
  let count = 0;
  while (!stream.isOperator(")")) {
    if (count > 0) stream.expect("operator", ",");
    if (stream.isOperator(")")) break;
    count += 1;
    if (stream.skip("operator", "*")) spread = parseExpression(stream);
    else if (stream.skip("operator", "**")) namedSpread = parseExpression(stream);
    else if (stream.is("name") && stream.ahead.type === "operator" && stream.ahead.text === "=") {
      const name = stream.next().text;
      stream.next();
      named.push([name, parseExpression(stream)]);
    } else {
      if (named.length > 0 || spread !== undefined || namedSpread !== undefined)
        stream.fail("arguments by position must come before those by name");
      positional.push(parseExpression(stream));
    }
  }
  stream.expect("operator", ")");
  return { positional, named, spread, namedSpread };
}

const dottedName = (stream: TokenStream): string => {
  let name = stream.expect("name").text;
  while (stream.skip("operator", ".")) name += `.${stream.expect("name").text}`;
  return name;
};

/** `|filter` and `is test` after an expression, and calls of what they give. */
function parseFilters(stream: TokenStream, start: Expression): Expression {
  let node = start;
  for (;;) {
    if (stream.isOperator("|")) node = parseFilter(stream, node);
    else if (stream.is("name", "is")) node = parseTest(stream, node);
    else if (stream.isOperator("(")) node = { kind: "call", callee: node, args: parseArgs(stream) };
    else return node;
  }
}

function parseFilter(stream: TokenStream, of: Expression | undefined): Expression {
  const { line } = stream.expect("operator", "|");
  return parseFilterName(stream, of, line);
}

function parseFilterName(
  stream: TokenStream,
  of: Expression | undefined,
  line: number,
): Expression {
  const name = dottedName(stream);
  const args = stream.isOperator("(") ? parseArgs(stream) : NO_ARGS;
  return { kind: "filter", of, name, args, line };
}

/** The filters of a filter block: `upper|trim`, with nothing before the first one. */
export function parseFilterChain(stream: TokenStream): Expression {
  let node = parseFilterName(stream, undefined, stream.current.line);
  while (stream.isOperator("|")) node = parseFilter(stream, node);
  return node;
}

const VALUE_STARTS: readonly string[] = ["(", "[", "{"];

function parseTest(stream: TokenStream, of: Expression): Expression {
  const { line } = stream.expect("name", "is");
  const negated = stream.skip("name", "not");
  const name = dottedName(stream);
  let args = NO_ARGS;
  if (stream.isOperator("(")) args = parseArgs(stream);
  else if (startsArgument(stream)) {
    if (stream.is("name", "is")) stream.fail("tests cannot be chained with `is`");
    args = { ...NO_ARGS, positional: [parsePostfix(stream, parsePrimary(stream))] };
  }
  const test: Expression = { kind: "test", of, name, args, line };
  return negated ? { kind: "not", of: test } : test;
}

function startsArgument(stream: TokenStream): boolean {
  const { type, text } = stream.current;
  if (type === "name") return !["else", "or", "and"].includes(text);
  if (type === "operator") return VALUE_STARTS.includes(text);
  return type === "string" || type === "integer" || type === "float";
}
