/** @file Cells of a sweep. */
import { expect, test } from "bun:test";
import { parseGrid } from "../../src/dispatch/grid.ts";

const cells = (text: string) => parseGrid({ name: "grid.yaml", text });
const names = (text: string): string[] => cells(text).map(({ name }) => name);

test("lists multiply, in the order of the file; names hold the swept keys alone", () => {
  const text = "training.learning_rate: [1e-3, 3e-4]\narchitecture.n_layer: [2, 4, 6]\n";
  expect(names(text)).toEqual([
    ...[
      "learning_rate-0.001_n_layer-2",
      "learning_rate-0.001_n_layer-4",
      "learning_rate-0.001_n_layer-6",
    ],
    ...[
      "learning_rate-0.0003_n_layer-2",
      "learning_rate-0.0003_n_layer-4",
      "learning_rate-0.0003_n_layer-6",
    ],
  ]);
  expect(cells(text)[1]?.overrides).toEqual([
    "training.learning_rate=0.001",
    "architecture.n_layer=4",
  ]);
});

test("lists under zip go together", () => {
  expect(names("zip:\n  a.x: [1, 2]\n  a.y: [p, q]\nb.z: [true, false]\n")).toEqual([
    ...["x-1_y-p_z-true", "x-1_y-p_z-false", "x-2_y-q_z-true", "x-2_y-q_z-false"],
  ]);
});

test("random takes the same cells every time", () => {
  const text = "a.x: [1, 2, 3, 4, 5]\nb.y: [1, 2, 3, 4]\nrandom: 7\n";
  expect(new Set(names(text)).size).toBe(7);
  expect(names(text)).toEqual(names(text));
  expect(names(text.replace("7", "70"))).toHaveLength(20);
});

test("names are told apart", () => {
  expect(names("a.x: [1]\nb.x: [2]\n")).toEqual(["a_x-1_b_x-2"]);
  expect(names('a.x: ["p q", "p/q"]\n')).toEqual(["x-p_q", "x-p_q_2"]);
});

test.each([
  ["a.x: 3\n", "expected a list of values to try, got 3"],
  ["a.x: []\n", "expected a list of values to try"],
  ["zip: [1]\n", "expected a map of lists"],
  ["zip:\n  a.x: [1, 2]\n  a.y: [1]\n", "expected lists of one length: a.x has 2, a.y has 1"],
  ["random: 2\n", "expected keys with lists"],
  ["a.x: [1]\nrandom: some\n", "expected the number of cells to take"],
])("%j", (text, message) => {
  expect(() => cells(text)).toThrow(message);
});
