/**
 * @file Reverse mode over builder nodes: from one output back to `wrt`, through the ops' own rules or through the
 * decomposition of a fused op without one. Gradient nodes carry the scope of the node they belong to. A cotangent
 * that does not exist stays null, so nothing is ever added to zeros.
 */
import type { Id, Node, TensorType } from "../ir/graph.ts";
import { nodeText, typeText } from "../ir/text.ts";
import type { Builder } from "../ops/builder.ts";
import { at } from "../ops/check.ts";
import type { AnyOp } from "../ops/define.ts";
import { constant } from "../ops/prim/const.ts";
import { type GetAttrs, get } from "../ops/prim/get.ts";
import { opOf } from "../ops/registry.ts";
import { isFloat } from "../util/dtype.ts";
import { assert, UserError } from "../util/errors.ts";
import { sameShape } from "../util/shapes.ts";
import { accumulate } from "./accumulate.ts";

/** f32 gradients of `output` (times `cotangent`, default 1) for each of `wrt`; zeros where nothing flows. */
export function grad(b: Builder, output: Id, wrt: readonly Id[], cotangent?: Id): Id[] {
  const type = b.type(output);
  if (cotangent === undefined && (type.dtype !== "f32" || type.shape.length !== 0)) {
    throw new UserError(`[grad] expected an f32 scalar to differentiate, got ${typeText(type)}`);
  }
  for (const id of wrt) {
    if (!isFloat(b.type(id).dtype)) {
      const what = nodeText(b.node(id), id);
      throw new UserError(`[grad] expected float values to differentiate for, got ${what}`);
    }
  }
  const seed = cotangent ?? backward(b, b.node(output), () => constant(b, 1, [], "f32"));
  const gradients = reverse(b, [[output, seed]], wrt, false);
  return gradients.map((id, i) => {
    if (id !== null) return id;
    const node = b.node(at(wrt, i));
    return backward(b, node, () => constant(b, 0, at(node.types, 0).shape, "f32"));
  });
}

const backward = <T>(b: Builder, node: Node, body: () => T): T =>
  b.as({ scope: node.scope, phase: "backward" }, body);

/** What flows into one node: contributions per result. */
type Flows = Map<Id, Id[][]>;

/**
 * The sweep itself. With `leaves` the sweep ends at `wrt`: their gradients are those of a function of them; without,
 * one of them may depend on another and gets the sum over all paths.
 */
function reverse(
  b: Builder,
  seeds: readonly (readonly [Id, Id])[],
  wrt: readonly Id[],
  leaves: boolean,
  boundary: readonly Id[] = wrt,
): (Id | null)[] {
  const stops = new Set(leaves ? boundary : []);
  const order = pathNodes(
    b,
    seeds.map(([id]) => id),
    new Set(wrt),
    stops,
  );
  const onPath = new Set(order);
  const flows: Flows = new Map();
  for (const [id, cotangent] of seeds) {
    if (onPath.has(id)) pushFlow(flows, id, 0, cotangent);
  }
  const totals = new Map<Id, Id>();
  for (const id of order.toReversed()) {
    const cotangents = totalFlows(b, id, flows);
    const first = cotangents[0] ?? null;
    if (first !== null) totals.set(id, first);
    if (stops.has(id) || cotangents.every((c) => c === null)) continue;
    propagate(b, id, cotangents, onPath, flows);
  }
  return wrt.map((id) => totals.get(id) ?? null);
}

/** Nodes that lie on a differentiable path from `wrt` to the seeds, in topological order. */
function pathNodes(
  b: Builder,
  seeds: readonly Id[],
  wrt: ReadonlySet<Id>,
  stops: ReadonlySet<Id>,
): Id[] {
  const ancestors = new Set<Id>();
  const pending = [...seeds];
  for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
    if (ancestors.has(id)) continue;
    ancestors.add(id);
    if (!stops.has(id) && b.node(id).op !== "stop_gradient") pending.push(...b.node(id).inputs);
  }
  const onPath = new Set<Id>();
  const order = Array.from(ancestors).toSorted((p, q) => p - q);
  for (const id of order) {
    const node = b.node(id);
    const cut = stops.has(id) || node.op === "stop_gradient";
    const reached = !cut && hasFloat(node) && node.inputs.some((i) => onPath.has(i));
    if (wrt.has(id) || reached) onPath.add(id);
  }
  return order.filter((id) => onPath.has(id));
}

const hasFloat = (node: Node): boolean => node.types.some((type) => isFloat(type.dtype));

function pushFlow(flows: Flows, id: Id, result: number, cotangent: Id): void {
  const perResult = flows.get(id) ?? [];
  flows.set(id, perResult);
  const list = perResult[result] ?? [];
  perResult[result] = list;
  list.push(cotangent);
}

/** One cotangent per result. */
function totalFlows(b: Builder, id: Id, flows: Flows): (Id | null)[] {
  const node = b.node(id);
  const perResult = flows.get(id) ?? [];
  flows.delete(id);
  return node.types.map((type, result) => {
    const list = perResult[result];
    if (list === undefined) return null;
    for (const cotangent of list) checkCotangent(b, node, cotangent, type);
    return backward(b, node, () => accumulate(b, list));
  });
}

function checkCotangent(b: Builder, node: Node, cotangent: Id, type: TensorType): void {
  const got = b.type(cotangent);
  assert(
    got.dtype === "f32" && sameShape(got.shape, type.shape),
    `cotangent of ${node.op} (${node.scope}) is ${typeText(got)} for a value of ${typeText(type)}`,
  );
}

function propagate(
  b: Builder,
  id: Id,
  cotangents: readonly (Id | null)[],
  onPath: ReadonlySet<Id>,
  flows: Flows,
): void {
  const node = b.node(id);
  if (node.op === "get") {
    const { index } = node.attrs as GetAttrs;
    const flow = cotangents[0] ?? null;
    const from = at(node.inputs, 0);
    if (flow !== null && onPath.has(from)) pushFlow(flows, from, index, flow);
    return;
  }
  const wanted = node.inputs.map((i) => onPath.has(i) && isFloat(b.type(i).dtype));
  if (!wanted.includes(true)) return;
  const gradients = inputGradients(b, id, cotangents, wanted);
  node.inputs.forEach((from, i) => {
    const gradient = gradients[i] ?? null;
    if (gradient !== null && wanted[i]) pushFlow(flows, from, 0, gradient);
  });
}

function inputGradients(
  b: Builder,
  id: Id,
  cotangents: readonly (Id | null)[],
  wanted: readonly boolean[],
): readonly (Id | null)[] {
  const node = b.node(id);
  const op: AnyOp = opOf(node.op);
  if (op.vjp === null) {
    throw new UserError(`[grad] expected differentiable ops, got ${nodeText(node, id)}`);
  }
  const { vjp } = op;
  if (vjp === undefined) return throughDecomposition(b, op, node, cotangents, wanted);
  const outputs = b.as(node, () => node.types.map((_, index) => get(b, id, index)));
  const { inputs, attrs } = node;
  return backward(b, node, () => vjp(b, { inputs, outputs, attrs, cotangents, wanted }));
}

/** Emits the decomposition beside the node and differentiates that; its inputs are the leaves. */
function throughDecomposition(
  b: Builder,
  op: AnyOp,
  node: Node,
  cotangents: readonly (Id | null)[],
  wanted: readonly boolean[],
): (Id | null)[] {
  const { decompose } = op;
  assert(decompose !== undefined, `${op.name} has neither a gradient nor a decomposition`);
  const results = backward(b, node, () => decompose(b, node.inputs, node.attrs));
  const seeds = results.flatMap((result, i) => {
    const cotangent = cotangents[i] ?? null;
    return cotangent === null ? [] : [[result, cotangent] as const];
  });
  const wrt = Array.from(new Set(node.inputs.filter((_, i) => wanted[i])));
  const gradients = reverse(b, seeds, wrt, true, node.inputs);
  // An input given twice gets its whole gradient once.
  const pending = new Map(wrt.map((id, i) => [id, gradients[i] ?? null]));
  return node.inputs.map((id) => {
    const gradient = pending.get(id) ?? null;
    pending.delete(id);
    return gradient;
  });
}
