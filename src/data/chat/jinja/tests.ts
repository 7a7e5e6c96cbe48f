/** @file `value is test`: the tests of Python's Jinja. An unknown one is found when the template is compiled. */
import { bind, number, whole } from "./arguments.ts";
import { contains, order } from "./operators.ts";
import { str } from "./print.ts";
import {
  Callable,
  equals,
  Generator,
  isFloat,
  isInteger,
  numberOf,
  sequence,
  Undefined,
  type Value,
} from "./values.ts";

type Test = (value: Value, args: readonly Value[]) => boolean;

const alone =
  (name: string, run: (value: Value) => boolean): Test =>
  (value, args) => {
    bind(`the test "${name}"`, [], args);
    return run(value);
  };

const withOne =
  (name: string, run: (value: Value, other: Value) => boolean): Test =>
  (value, args) => {
    const [other = null] = bind(`the test "${name}"`, ["other"], args);
    return run(value, other);
  };

const isCase = (value: Value, upper: boolean): boolean => {
  const text = str(value);
  return /\p{L}/u.test(text) && text === (upper ? text.toUpperCase() : text.toLowerCase());
};

const isSequence = (value: Value): boolean =>
  typeof value === "string" || value instanceof Map || sequence(value) !== undefined;

const remainder = (value: Value, by: number): number => {
  const rest = number("a test", value) % by;
  return rest < 0 ? rest + Math.abs(by) : rest;
};

const same = (a: Value, b: Value): boolean => Object.is(a, b);

const table: [string, Test][] = [
  ["defined", alone("defined", (value) => !(value instanceof Undefined))],
  ["undefined", alone("undefined", (value) => value instanceof Undefined)],
  ["none", alone("none", (value) => value === null)],
  ["boolean", alone("boolean", (value) => typeof value === "boolean")],
  ["true", alone("true", (value) => value === true)],
  ["false", alone("false", (value) => value === false)],
  ["string", alone("string", (value) => typeof value === "string")],
  ["integer", alone("integer", isInteger)],
  ["float", alone("float", isFloat)],
  ["number", alone("number", (value) => numberOf(value) !== undefined)],
  ["mapping", alone("mapping", (value) => value instanceof Map)],
  ["sequence", alone("sequence", isSequence)],
  [
    "iterable",
    alone(
      "iterable",
      (value) => isSequence(value) || value instanceof Generator || value instanceof Undefined,
    ),
  ],
  ["callable", alone("callable", (value) => value instanceof Callable)],
  ["lower", alone("lower", (value) => isCase(value, false))],
  ["upper", alone("upper", (value) => isCase(value, true))],
  ["even", alone("even", (value) => remainder(value, 2) === 0)],
  ["odd", alone("odd", (value) => remainder(value, 2) === 1)],
  [
    "divisibleby",
    withOne("divisibleby", (value, by) => remainder(value, whole("divisibleby", by)) === 0),
  ],
  ["sameas", withOne("sameas", same)],
  ["in", withOne("in", (value, container) => contains(container, value))],
  ["escaped", alone("escaped", () => false)],
];

const comparisons: readonly [readonly string[], (value: Value, other: Value) => boolean][] = [
  [["eq", "equalto", "=="], equals],
  [["ne", "!="], (value, other) => !equals(value, other)],
  [["lt", "lessthan", "<"], (value, other) => order(value, other) < 0],
  [["le", "<="], (value, other) => order(value, other, "<=") <= 0],
  [["gt", "greaterthan", ">"], (value, other) => order(value, other, ">") > 0],
  [["ge", ">="], (value, other) => order(value, other, ">=") >= 0],
];

export const TESTS: ReadonlyMap<string, Test> = new Map([
  ...table,
  ...comparisons.flatMap(([names, run]) =>
    names.map((name): [string, Test] => [name, withOne(name, run)]),
  ),
]);
