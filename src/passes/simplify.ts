/** @file Local identities: views of views, neutral elements, cast pairs, constants seen through views. */
import type { Graph, Id, Node } from "../ir/graph.ts";
import type { BroadcastAttrs } from "../ops/prim/broadcast.ts";
import { type DotAttrs, dotDims } from "../ops/prim/dot.ts";
import type { SliceAttrs } from "../ops/prim/slice.ts";
import { sameShape } from "../util/shapes.ts";
import { Consumers } from "./consumers.ts";
import { Edit, withInputs } from "./edit.ts";
import { LossMerger } from "./loss_merger.ts";

export function simplify(graph: Graph): Graph {
  const edit = new Edit(graph);
  const consumers = new Consumers(graph);
  const losses = new LossMerger(graph, edit);
  let id = 0;
  for (const node of graph.nodes) {
    // Rules look at inputs that have been simplified before, since inputs come first.
    if (node.inputs.some((input) => edit.isRedirected(input))) {
      edit.set(
        id,
        withInputs(
          node,
          node.inputs.map((input) => edit.resolve(input)),
        ),
      );
    }
    const rule = RULES[node.op];
    if (rule !== undefined) rewrite(edit, consumers, id, rule);
    else losses.visit(id);
    id++;
  }
  return edit.finish();
}

type Rule = (edit: Edit, node: Node, consumers: Consumers) => Id | Node | null;

/** Applies rules until none fits; each makes the node smaller, so this ends. */
function rewrite(edit: Edit, consumers: Consumers, id: Id, first: Rule): void {
  for (let rule: Rule | undefined = first; rule !== undefined; rule = RULES[edit.node(id).op]) {
    const result = rule(edit, edit.node(id), consumers);
    if (result === null) return;
    if (typeof result === "number") {
      edit.redirect(id, result);
      return;
    }
    edit.set(id, result);
  }
}

const shapeOf = (edit: Edit, id: Id) => edit.type(id).shape;

const isConst = (edit: Edit, id: Id, value: number): boolean => {
  const node = edit.node(id);
  return node.op === "const" && node.attrs.value === value;
};

/** A view of a constant is a constant. */
function viewOfConst(edit: Edit, node: Node): Node | null {
  const source = edit.node(node.inputs[0] ?? 0);
  const type = node.types[0];
  if (source.op !== "const" || type === undefined) return null;
  const attrs = { value: source.attrs.value ?? 0, shape: type.shape, dtype: type.dtype };
  return { ...node, op: "const", inputs: [], attrs };
}

function reshapeRule(edit: Edit, node: Node): Id | Node | null {
  const [x = 0] = node.inputs;
  if (sameShape(shapeOf(edit, x), node.types[0]?.shape ?? [])) return x;
  const source = edit.node(x);
  if (source.op === "reshape") return { ...node, inputs: source.inputs };
  return viewOfConst(edit, node);
}

const isIdentity = (dims: readonly number[]): boolean => dims.every((dim, i) => dim === i);

function transposeRule(edit: Edit, node: Node, consumers: Consumers): Id | Node | null {
  const [x = 0] = node.inputs;
  const perm = node.attrs.perm as readonly number[];
  if (isIdentity(perm)) return x;
  const source = edit.node(x);
  if (source.op === "transpose") {
    const inner = source.attrs.perm as readonly number[];
    const attrs = { perm: perm.map((dim) => inner[dim] ?? 0) };
    return { ...node, inputs: source.inputs, attrs };
  }
  if (source.op === "dot" && consumers.count(x) === 1) return swappedDot(edit, node, source, perm);
  return viewOfConst(edit, node);
}

/** The transpose of a product is the product of its operands in the other order. */
function swappedDot(edit: Edit, node: Node, dot: Node, perm: readonly number[]): Node | null {
  const attrs = dot.attrs as DotAttrs;
  const [x = 0, y = 0] = dot.inputs;
  const batches = attrs.batch.length;
  const left = dotDims(shapeOf(edit, x).length, attrs, 0).free.length;
  const right = dotDims(shapeOf(edit, y).length, attrs, 1).free.length;
  const swapped = perm.every((dim, i) => {
    if (i < batches) return dim === i;
    return i < batches + right ? dim === i + left : dim === i - right;
  });
  if (!swapped) return null;
  const flip = (pairs: DotAttrs["batch"]) => pairs.map(([l, r]) => [r, l] as const);
  return {
    ...dot,
    inputs: [y, x],
    attrs: { batch: flip(attrs.batch), contract: flip(attrs.contract) },
    types: node.types,
  };
}

function broadcastRule(edit: Edit, node: Node): Id | Node | null {
  const [x = 0] = node.inputs;
  const { shape, dims } = node.attrs as BroadcastAttrs;
  if (sameShape(shapeOf(edit, x), shape)) return x;
  const source = edit.node(x);
  if (source.op === "broadcast") {
    const inner = source.attrs as BroadcastAttrs;
    const attrs = { shape, dims: inner.dims.map((dim) => dims[dim] ?? 0) };
    return { ...node, inputs: source.inputs, attrs };
  }
  return viewOfConst(edit, node);
}

function sliceRule(edit: Edit, node: Node): Id | Node | null {
  const [x = 0] = node.inputs;
  const { starts } = node.attrs as SliceAttrs;
  const whole = sameShape(shapeOf(edit, x), node.types[0]?.shape ?? []);
  if (whole && starts.every((start) => start === 0)) return x;
  return viewOfConst(edit, node);
}

function padRule(edit: Edit, node: Node): Id | null {
  const [x = 0] = node.inputs;
  return sameShape(shapeOf(edit, x), node.types[0]?.shape ?? []) ? x : null;
}

/** Dtypes whose every value the key can hold. */
const HOLDS: Readonly<Record<string, readonly string[]>> = {
  f32: ["bf16", "bool"],
  bf16: ["bool"],
  i32: ["bool"],
  u32: ["bool"],
};

function castRule(edit: Edit, node: Node): Id | Node | null {
  const [x = 0] = node.inputs;
  const to = node.types[0]?.dtype ?? "f32";
  const from = edit.type(x).dtype;
  if (from === to) return x;
  const source = edit.node(x);
  if (source.op === "cast") {
    const origin = source.inputs[0] ?? 0;
    const exact = HOLDS[from]?.includes(edit.type(origin).dtype) ?? false;
    if (exact) return { ...node, inputs: [origin] };
  }
  return null;
}

function addRule(edit: Edit, node: Node): Id | null {
  const [x = 0, y = 0] = node.inputs;
  if (isConst(edit, y, 0)) return x;
  return isConst(edit, x, 0) ? y : null;
}

const subRule: Rule = (edit, { inputs: [x = 0, y = 0] }) => (isConst(edit, y, 0) ? x : null);

/** x * 1, and x * c1 * c2. */
function mulRule(edit: Edit, node: Node): Id | Node | null {
  const [x = 0, y = 0] = node.inputs;
  if (isConst(edit, y, 1)) return x;
  if (isConst(edit, x, 1)) return y;
  const factor = edit.node(y);
  const product = edit.node(x);
  if (product.op === "const" && factor.op !== "const") return { ...node, inputs: [y, x] };
  if (factor.op !== "const" || product.op !== "mul" || node.types[0]?.dtype !== "f32") return null;
  const [inner = 0, innerFactor = 0] = product.inputs;
  const other = edit.node(innerFactor);
  if (other.op !== "const") return null;
  const value = Number(factor.attrs.value) * Number(other.attrs.value);
  const constant = edit.add({ ...factor, attrs: { ...factor.attrs, value } });
  return { ...node, inputs: [inner, constant] };
}

/** x / 1, and division by a power of two, whose inverse is exact. */
function divRule(edit: Edit, node: Node): Id | Node | null {
  const [x = 0, y = 0] = node.inputs;
  const divisor = edit.node(y);
  if (divisor.op !== "const" || node.types[0]?.dtype !== "f32") return null;
  const value = Number(divisor.attrs.value);
  if (value === 1) return x;
  const exponent = Math.log2(Math.abs(value));
  if (!Number.isInteger(exponent) || Math.abs(exponent) > 100) return null;
  const inverse = edit.add({ ...divisor, attrs: { ...divisor.attrs, value: 1 / value } });
  return { ...node, op: "mul", inputs: [x, inverse] };
}

function negRule(edit: Edit, node: Node): Id | null {
  const source = edit.node(node.inputs[0] ?? 0);
  return source.op === "neg" ? (source.inputs[0] ?? null) : null;
}

const firstInput: Rule = (_edit, node) => node.inputs[0] ?? null;

const RULES: Readonly<Record<string, Rule>> = {
  reshape: reshapeRule,
  transpose: transposeRule,
  broadcast: broadcastRule,
  slice: sliceRule,
  pad: padRule,
  concat: (_edit, node) => (node.inputs.length === 1 ? (node.inputs[0] ?? null) : null),
  cast: castRule,
  add: addRule,
  sub: subRule,
  mul: mulRule,
  div: divRule,
  neg: negRule,
  // Differentiation is over.
  stop_gradient: firstInput,
};
