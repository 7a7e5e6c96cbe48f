/** @file The verifier finds each kind of broken graph and shows where. */
import { describe, expect, test } from "bun:test";
import type { Graph, Node } from "../../src/ir/graph.ts";
import { Builder } from "../../src/ops/builder.ts";
import { at } from "../../src/ops/check.ts";
import { add } from "../../src/ops/prim/add.ts";
import { exp } from "../../src/ops/prim/exp.ts";
import { getOp } from "../../src/ops/prim/get.ts";
import { input } from "../../src/ops/prim/input.ts";
import { reshape } from "../../src/ops/prim/reshape.ts";
import { verify } from "../../src/passes/verify.ts";

/** %0 and %1 inputs, %2 = add in scope `blocks.0`, %3 = exp of it. */
function sound(): Graph {
  const b = new Builder("sound");
  const x = input(b, { name: "x", kind: "input", shape: [2], dtype: "f32" });
  const w = input(b, { name: "param/w", kind: "state", shape: [2], dtype: "f32" });
  const y = b.within("blocks.0", () => add(b, x, w));
  b.output("w", exp(b, y), "param/w");
  return b.finish();
}

function broken(id: number, change: Partial<Node>): Graph {
  const graph = sound();
  return { ...graph, nodes: graph.nodes.with(id, { ...at(graph.nodes, id), ...change }) };
}

const messageOf = (graph: Graph, stage: Parameters<typeof verify>[1] = "traced"): string => {
  try {
    verify(graph, stage);
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : "";
  }
};

describe("verify", () => {
  test("accepts a sound graph", () => {
    expect(messageOf(sound())).toBe("");
    expect(messageOf(sound(), "differentiated")).toBe("");
    expect(messageOf(sound(), "chosen")).toBe("");
  });

  test("shows the node with its scope and neighbours", () => {
    expect(messageOf(broken(2, { types: [{ shape: [3], dtype: "f32" }] }))).toBe(
      `internal: graph sound (traced): infer gives f32[2]
  node    %2 = add(%0, %1) : f32[3]  # blocks.0
  reads   %0 = input() {name: "x", kind: "input", shape: [2], dtype: "f32"} : f32[2]
  reads   %1 = input() {name: "param/w", kind: "state", shape: [2], dtype: "f32"} : f32[2]
  read by %3 = exp(%2) : f32[2]`,
    );
  });

  test.each([
    ["an input that comes later", { inputs: [0, 3] }, "input %3 does not come before it"],
    ["an input that does not exist", { inputs: [0, -1] }, "input %-1 does not come before it"],
    ["an unknown op", { op: "frobnicate" }, "no op has this name"],
    ["operands that do not fit", { inputs: [0] }, "[add] expected 2 operands, got 1"],
    ["a lowered op too early", { op: "copy", inputs: [0] }, "a lowered op in a traced graph"],
  ] as const)("finds %s", (_, change, problem) => {
    expect(messageOf(broken(2, change))).toContain(`(traced): ${problem}\n`);
  });

  test("finds elementwise ops that fusion left over, and lets views be", () => {
    expect(messageOf(sound(), "fused")).toContain("neither a view nor an op with a kernel");
    const b = new Builder("views");
    const x = input(b, { name: "x", kind: "input", shape: [2], dtype: "f32" });
    b.output("y", reshape(b, x, [1, 2]));
    expect(messageOf(b.finish(), "fused")).toBe("");
  });

  test("finds a get of a result that does not exist or has another type", () => {
    const type = { shape: [2], dtype: "f32" } as const;
    const node = { ...at(sound().nodes, 3), op: getOp.name, types: [type] };
    expect(messageOf(broken(3, { ...node, attrs: { index: 1, ...type } }))).toContain(
      "add has 1 results",
    );
  });

  test("finds aliases of inputs and of state of another type, and lets state be that is only written", () => {
    const withAlias = (alias: string, node = 3): Graph => ({
      ...sound(),
      outputs: [{ name: "y", node, alias }],
    });
    expect(messageOf(withAlias("x"))).toContain("output y: x is no state");
    expect(messageOf(withAlias("param/v"))).toBe("");
    const graph = broken(1, {
      attrs: { name: "param/w", kind: "state", shape: [3], dtype: "f32" },
      types: [{ shape: [3], dtype: "f32" }],
    });
    const nodes = graph.nodes.with(2, { ...at(graph.nodes, 2), inputs: [0, 0] });
    expect(messageOf({ ...graph, nodes })).toContain("state param/w is f32[3]");
    expect(messageOf(withAlias("param/w", 9))).toContain("its node does not exist");
  });

  test("finds two outputs of one name", () => {
    const graph = sound();
    const outputs = [...graph.outputs, ...graph.outputs];
    expect(messageOf({ ...graph, outputs })).toContain("two outputs have this name");
  });
});
