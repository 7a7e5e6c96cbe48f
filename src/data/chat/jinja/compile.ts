/** @file Statements as closures over the output and the scope. */
import type { Parameter, Statement, Target } from "./ast.ts";
import { compileExpression, type Evaluate, FILTERED } from "./compile_expression.ts";
import { str } from "./print.ts";
import { type Output, Scope } from "./scope.ts";
import { failed, TemplateError } from "./template_error.ts";
import {
  Callable,
  iterate,
  type Keywords,
  LoopState,
  Namespace,
  truth,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** What a statement asks of the loop around it. */
type Signal = "break" | "continue" | undefined;
export type Run = (out: Output, scope: Scope) => Signal;
type Assign = (scope: Scope, value: Value) => void;
type Of<K extends Statement["kind"]> = Extract<Statement, { kind: K }>;

function located(error: unknown, line: number): unknown {
  // A template that calls itself for ever ends in the stack's limit.
  if (error instanceof RangeError) return new TemplateError("failed", error.message, line);
  if (error instanceof TemplateError) error.line ??= line;
  return error;
}

export function compileBody(body: readonly Statement[]): Run {
  const statements = body.map((node) => ({ run: compileStatement(node), line: node.line }));
  return (out, scope) => {
    for (const { run, line } of statements) {
      try {
        const signal = run(out, scope);
        if (signal !== undefined) return signal;
      } catch (error) {
        throw located(error, line);
      }
    }
    return undefined;
  };
}

function captured(run: Run, out: Output, scope: Scope): string {
  const inner = out.capture();
  run(inner, scope);
  return inner.text;
}

function compileTarget(target: Target): Assign {
  if (target.kind === "name") return (scope, value) => scope.set(target.name, value);
  if (target.kind === "namespace") {
    const { name, attribute } = target;
    return (scope, value) => {
      const holder = scope.get(name);
      if (!(holder instanceof Namespace))
        throw failed(`cannot assign attribute "${attribute}" on what is not a namespace`);
      checkNamespaceName(attribute);
      holder.values.set(attribute, value);
    };
  }
  const items = target.items.map(compileTarget);
  return (scope, value) => {
    if (value instanceof Undefined) throw failed(value.what);
    const values = iterate(value);
    if (values.length !== items.length)
      throw failed(`expected ${items.length} values to unpack, got ${values.length}`);
    items.forEach((assign, i) => {
      assign(scope, values[i] ?? null);
    });
  };
}

export function checkNamespaceName(name: string): void {
  if (name.startsWith("_"))
    throw failed(`chat templates cannot store "${name}", which begins with an underscore`);
}

function compileIf(node: Of<"if">): Run {
  const branches = node.branches.map(({ test, body }) => ({
    test: compileExpression(test),
    run: compileBody(body),
  }));
  const otherwise = compileBody(node.otherwise);
  return (out, scope) => {
    for (const { test, run } of branches) if (truth(test(scope))) return run(out, scope);
    return otherwise(out, scope);
  };
}

function kept(items: readonly Value[], scope: Scope, assign: Assign, filter: Evaluate) {
  return items.filter((member) => {
    const inner = new Scope(scope);
    assign(inner, member);
    return truth(filter(inner));
  });
}

function compileFor(node: Of<"for">): Run {
  const over = compileExpression(node.over);
  const assign = compileTarget(node.target);
  const filter = node.filter === undefined ? undefined : compileExpression(node.filter);
  const [body, otherwise] = [compileBody(node.body), compileBody(node.otherwise)];
  return (out, scope) => {
    const all = iterate(over(scope));
    const items = filter === undefined ? all : kept(all, scope, assign, filter);
    if (items.length === 0) return otherwise(out, new Scope(scope));
    const loop = new LoopState(items);
    for (const [index, item] of items.entries()) {
      const inner = new Scope(scope);
      loop.index = index;
      inner.set("loop", loop);
      assign(inner, item);
      const start = out.text.length;
      const signal = body(out, inner);
      const end = out.text.length;
      if (end > start && item instanceof Map && !out.captured)
        out.trace?.loops.push({ item, start, end });
      if (signal === "break") break;
    }
    return undefined;
  };
}

function compileGeneration(node: Of<"generation">): Run {
  const body = compileBody(node.body);
  return (out, scope) => {
    const start = out.text.length;
    body(out, new Scope(scope));
    if (out.trace === undefined) return undefined;
    if (out.captured) out.trace.hiddenGenerations += 1;
    else out.trace.generations.push({ start, end: out.text.length });
    return undefined;
  };
}

function bindParameters(
  name: string,
  parameters: readonly (readonly [string, Evaluate | undefined])[],
  scope: Scope,
  positional: readonly Value[],
  named: Keywords,
): void {
  const known = new Set(parameters.map(([parameter]) => parameter));
  if (positional.length > parameters.length)
    throw failed(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
  for (const key of named.keys())
    if (!known.has(key) && key !== "caller")
      throw failed(`macro '${name}' takes no keyword argument '${key}'`);
  parameters.forEach(([parameter, otherwise], i) => {
    const given = i < positional.length ? positional[i] : named.get(parameter);
    if (given !== undefined) scope.set(parameter, given);
    else if (otherwise !== undefined) scope.set(parameter, otherwise(scope));
    else scope.set(parameter, new Undefined(`parameter '${parameter}' was not provided`));
  });
  const caller = named.get("caller");
  if (caller !== undefined) scope.set("caller", caller);
}

function macro(
  name: string,
  parameters: readonly Parameter[],
  body: readonly Statement[],
): (out: Output, scope: Scope) => Callable {
  const run = compileBody(body);
  const compiled = parameters.map(
    ({ name: parameter, value }) =>
      [parameter, value === undefined ? undefined : compileExpression(value)] as const,
  );
  return (out, scope) =>
    new Callable(name, (positional, named) => {
      const inner = new Scope(scope);
      bindParameters(name, compiled, inner, positional, named);
      return captured(run, out, inner);
    });
}

function compileMacro(node: Of<"macro">): Run {
  const make = macro(node.name, node.parameters, node.body);
  return (out, scope) => {
    scope.set(node.name, make(out, scope));
    return undefined;
  };
}

function compileCallBlock(node: Of<"call_block">): Run {
  const { call } = node;
  if (call.kind !== "call")
    throw new TemplateError("syntax", "{% call %} expects a call", node.line);
  const make = macro("caller", node.parameters, node.body);
  const CALLER = " caller";
  const named = [...call.args.named, ["caller", { kind: "name", name: CALLER }] as const];
  const whole = compileExpression({ ...call, args: { ...call.args, named } });
  return (out, scope) => {
    const inner = new Scope(scope);
    inner.set(CALLER, make(out, scope));
    out.text += str(whole(inner));
    return undefined;
  };
}

function compileSetBlock(node: Of<"set_block">): Run {
  const [assign, body] = [compileTarget(node.target), compileBody(node.body)];
  const filter = node.filter === undefined ? undefined : compileExpression(node.filter);
  return (out, scope) => {
    const inner = new Scope(scope);
    const text = captured(body, out, inner);
    inner.set(FILTERED, text);
    assign(scope, filter === undefined ? text : filter(inner));
    return undefined;
  };
}

function compileFilterBlock(node: Of<"filter_block">): Run {
  const [filter, body] = [compileExpression(node.filter), compileBody(node.body)];
  return (out, scope) => {
    const inner = new Scope(scope);
    inner.set(FILTERED, captured(body, out, inner));
    out.text += str(filter(inner));
    return undefined;
  };
}

function compileWith(node: Of<"with">): Run {
  const values = node.values.map(
    ([target, value]) => [compileTarget(target), compileExpression(value)] as const,
  );
  const body = compileBody(node.body);
  return (out, scope) => {
    const inner = new Scope(scope);
    for (const [assign, value] of values) assign(inner, value(scope));
    return body(out, inner);
  };
}

function compileStatement(node: Statement): Run {
  switch (node.kind) {
    case "text":
      return (out) => {
        out.text += node.text;
        return undefined;
      };
    case "output": {
      const value = compileExpression(node.value);
      return (out, scope) => {
        const result = value(scope);
        out.text += typeof result === "string" ? result : str(result);
        return undefined;
      };
    }
    case "set": {
      const [assign, value] = [compileTarget(node.target), compileExpression(node.value)];
      return (_, scope) => {
        assign(scope, value(scope));
        return undefined;
      };
    }
    case "break":
    case "continue":
      return () => node.kind;
    case "if":
      return compileIf(node);
    case "for":
      return compileFor(node);
    case "generation":
      return compileGeneration(node);
    case "macro":
      return compileMacro(node);
    case "call_block":
      return compileCallBlock(node);
    case "set_block":
      return compileSetBlock(node);
    case "filter_block":
      return compileFilterBlock(node);
    case "with":
      return compileWith(node);
  }
  return node satisfies never;
}

export const namespaceOf = (positional: readonly Value[], named: Keywords): Namespace => {
  const made = new Namespace();
  for (const value of positional) {
    if (!(value instanceof Map)) throw failed(`namespace() expects a dict, got ${typeName(value)}`);
    for (const [key, member] of value) made.values.set(String(key), member);
  }
  for (const [key, member] of named) made.values.set(key, member);
  for (const key of made.values.keys()) checkNamespaceName(key);
  return made;
};
