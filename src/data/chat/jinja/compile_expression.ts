/** @file Expressions as closures: each node becomes one function once, so that rendering does no dispatch on kinds. */
import { applyFilter, applyTest } from "./apply.ts";
import type { CallArgs, Expression, Literal } from "./ast.ts";
import { attribute, call, directMethod, item } from "./attributes.ts";
import { binary, compare, concat, signed, slice } from "./operators.ts";
import type { Scope } from "./scope.ts";
import { failed } from "./template_error.ts";
import { float, iterate, type Keywords, Tuple, truth, Undefined, type Value } from "./values.ts";

export type Evaluate = (scope: Scope) => Value;
interface EvaluatedArgs {
  readonly positional: readonly Value[];
  readonly named: Keywords;
}

const NO_ARGS: EvaluatedArgs = { positional: [], named: new Map() };

function literal(value: Literal): Value {
  if (value === null || typeof value !== "object") return value;
  if ("float" in value) return float(value.float);
  const number = Number(value.int);
  return Number.isSafeInteger(number) ? number : BigInt(value.int);
}

function compileArgs(args: CallArgs): (scope: Scope) => EvaluatedArgs {
  const positional = args.positional.map(compileExpression);
  const named = args.named.map(([name, value]) => [name, compileExpression(value)] as const);
  const spread = args.spread === undefined ? undefined : compileExpression(args.spread);
  const extra = args.namedSpread === undefined ? undefined : compileExpression(args.namedSpread);
  if (named.length === 0 && spread === undefined && extra === undefined) {
    if (positional.length === 0) return () => NO_ARGS;
    return (scope) => ({ positional: positional.map((run) => run(scope)), named: NO_ARGS.named });
  }
  return (scope) => {
    const values = positional.map((run) => run(scope));
    if (spread !== undefined) values.push(...iterate(spread(scope)));
    const byName = new Map(named.map(([name, run]) => [name, run(scope)]));
    const more = extra?.(scope);
    if (more !== undefined && !(more instanceof Map)) throw failed("** expects a dict");
    for (const [name, value] of more ?? []) byName.set(String(name), value);
    return { positional: values, named: byName };
  };
}

function compileCall(node: Expression & { kind: "call" }): Evaluate {
  const args = compileArgs(node.args);
  if (node.callee.kind !== "attribute") {
    const callee = compileExpression(node.callee);
    return (scope) => {
      const target = callee(scope);
      const { positional, named } = args(scope);
      return call(target, positional, named);
    };
  }
  const { name } = node.callee;
  const subject = compileExpression(node.callee.of);
  return (scope) => {
    const self = subject(scope);
    const method = directMethod(self, name);
    const { positional, named } = args(scope);
    return method === undefined
      ? call(attribute(self, name), positional, named)
      : method(positional, named);
  };
}

function compileBinary(node: Expression & { kind: "binary" }): Evaluate {
  const [left, right] = [compileExpression(node.left), compileExpression(node.right)];
  const { operator } = node;
  if (operator === "and") {
    return (scope) => {
      const value = left(scope);
      return truth(value) ? right(scope) : value;
    };
  }
  if (operator === "or") {
    return (scope) => {
      const value = left(scope);
      return truth(value) ? value : right(scope);
    };
  }
  if (operator === "+") {
    return (scope) => {
      const [a, b] = [left(scope), right(scope)];
      return typeof a === "string" && typeof b === "string" ? a + b : binary("+", a, b);
    };
  }
  return (scope) => binary(operator, left(scope), right(scope));
}

function compileCompare(node: Expression & { kind: "compare" }): Evaluate {
  const first = compileExpression(node.first);
  const rest = node.rest.map(([operator, value]) => [operator, compileExpression(value)] as const);
  const [only] = rest;
  if (rest.length === 1 && only !== undefined) {
    const [operator, right] = only;
    return (scope) => compare(operator, first(scope), right(scope));
  }
  return (scope) => {
    let left = first(scope);
    for (const [operator, run] of rest) {
      const right = run(scope);
      if (!compare(operator, left, right)) return false;
      left = right;
    }
    return true;
  };
}

function compileChoice(node: Expression & { kind: "choose" }): Evaluate {
  const [test, yes] = [compileExpression(node.test), compileExpression(node.yes)];
  const no = node.no === undefined ? undefined : compileExpression(node.no);
  const nothing = new Undefined(
    "the inline if-expression evaluated to false and no else was given",
  );
  return (scope) => {
    if (truth(test(scope))) return yes(scope);
    return no === undefined ? nothing : no(scope);
  };
}

/** The name under which a filter block finds what it wrote. */
export const FILTERED = " filtered";

export function compileExpression(node: Expression): Evaluate {
  switch (node.kind) {
    case "literal": {
      const value = literal(node.value);
      return () => value;
    }
    case "name": {
      const { name } = node;
      const nothing = new Undefined(`'${name}' is undefined`);
      return (scope) => {
        const found = scope.get(name);
        return found === undefined ? nothing : found;
      };
    }
    case "call":
      return compileCall(node);
    case "binary":
      return compileBinary(node);
    case "compare":
      return compileCompare(node);
    case "choose":
      return compileChoice(node);
    case "concat": {
      const items = node.items.map(compileExpression);
      return (scope) => concat(items.map((run) => run(scope)));
    }
    case "not": {
      const of = compileExpression(node.of);
      return (scope) => !truth(of(scope));
    }
    case "sign": {
      const of = compileExpression(node.of);
      return (scope) => signed(node.sign, of(scope));
    }
    case "filter":
    case "test":
      return compileNamed(node);
    default:
      return compileAccess(node);
  }
}

function compileNamed(node: Expression & { kind: "filter" | "test" }): Evaluate {
  const of = compileExpression(node.of ?? { kind: "name", name: FILTERED });
  const args = compileArgs(node.args);
  const { name, kind } = node;
  return (scope) => {
    const value = of(scope);
    const { positional, named } = args(scope);
    return kind === "filter"
      ? applyFilter(name, value, positional, named)
      : applyTest(name, value, positional, named);
  };
}

type Access = "attribute" | "item" | "slice" | "list" | "tuple" | "dict";

function compileAccess(node: Expression & { kind: Access }): Evaluate {
  switch (node.kind) {
    case "attribute": {
      const of = compileExpression(node.of);
      return (scope) => attribute(of(scope), node.name);
    }
    case "item": {
      const [of, key] = [compileExpression(node.of), compileExpression(node.key)];
      return (scope) => item(of(scope), key(scope));
    }
    case "slice": {
      const of = compileExpression(node.of);
      const bounds = node.bounds.map((bound) =>
        bound === undefined ? undefined : compileExpression(bound),
      );
      return (scope) =>
        slice(
          of(scope),
          bounds.map((bound) => bound?.(scope)),
        );
    }
    case "list": {
      const items = node.items.map(compileExpression);
      return (scope) => items.map((run) => run(scope));
    }
    case "tuple": {
      const items = node.items.map(compileExpression);
      return (scope) => new Tuple(items.map((run) => run(scope)));
    }
    case "dict": {
      const entries = node.entries.map(
        ([key, value]) => [compileExpression(key), compileExpression(value)] as const,
      );
      return (scope) => new Map(entries.map(([key, value]) => [key(scope), value(scope)]));
    }
  }
  return node satisfies never;
}
