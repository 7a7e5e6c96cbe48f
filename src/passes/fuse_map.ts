/** @file Elementwise nodes and reductions become `map` and `map_reduce` kernels. */
import type { Graph, Id } from "../ir/graph.ts";
import type { ReduceAttrs } from "../ops/prim/reduce.ts";
import { assert } from "../util/errors.ts";
import { Consumers } from "./consumers.ts";
import { Edit } from "./edit.ts";
import { nodeOf, rootOf, stateUpdates } from "./graph_queries.ts";
import { MapBuilder } from "./map_builder.ts";
import { type Group, Grouping } from "./map_groups.ts";
import { mergeSiblings } from "./map_siblings.ts";

export interface FuseMapOptions {
  /** False: every elementwise node is a kernel of its own. */
  readonly fuse: boolean;
}

export function fuseMap(graph: Graph, options: FuseMapOptions = { fuse: true }): Graph {
  const edit = new Edit(graph);
  const consumers = new Consumers(graph);
  const grouping = new Grouping(graph, consumers, options.fuse);
  if (options.fuse) mergeSiblings(graph, consumers, grouping);
  const accumulations = options.fuse ? stateUpdates(graph, consumers) : new Set<Id>();
  for (const group of grouping.groups) {
    if (group.isReduce) writeReduce(edit, group);
    else {
      writeMap(edit, group);
      if (accumulations.has(group.seed)) hoist(graph, edit, grouping, group);
    }
  }
  return edit.finish();
}

/**
 * Runs an accumulation into state as soon as its operands exist. It is traced at the end of the program, where it would
 * keep its operand alive until then. State that others read stays as it is for as long as they may read it.
 */
function hoist(graph: Graph, edit: Edit, grouping: Grouping, group: Group): void {
  let latest = -1;
  for (const input of group.inputs) {
    const root = rootOf(graph, input);
    const node = nodeOf(graph, root);
    if (node.op === "input") {
      if (node.attrs.kind === "state" && !grouping.isSoleReader(root, group)) return;
    } else if (node.op !== "const") {
      latest = Math.max(latest, grouping.position(root));
    }
  }
  if (group.results.length > 1 || latest + 1 >= group.seed) return;
  edit.redirect(group.seed, edit.addAt(latest + 1, edit.node(group.seed)));
}

function build(edit: Edit, group: Group, needsInput = false): MapBuilder {
  const builder = new MapBuilder((id) => edit.node(id), needsInput);
  const members = group.members.toSorted((a, b) => a - b);
  for (const id of members) builder.member(id);
  return builder;
}

function writeMap(edit: Edit, group: Group): void {
  const seed = edit.node(group.seed);
  assert(group.results[0] === group.seed, "the seed is the first result of its group");
  const builder = build(edit, group);
  const types = group.results.map((id) => edit.type(id));
  const attrs = {
    ...builder.finish(group.results),
    shape: types[0]?.shape ?? [],
    dtypes: types.map((type) => type.dtype),
  };
  // Written last: members were read through the edit.
  const extra = group.results.slice(1);
  edit.set(group.seed, { ...seed, op: "map", inputs: builder.inputs, attrs, types });
  extra.forEach((id, i) => {
    const type = edit.type(id);
    const node = edit.node(id);
    const attrsOfGet = { index: i + 1, shape: type.shape, dtype: type.dtype };
    const get = { ...node, op: "get", inputs: [group.seed], attrs: attrsOfGet, types: [type] };
    edit.redirect(id, edit.add(get));
  });
}

function writeReduce(edit: Edit, group: Group): void {
  const node = edit.node(group.seed);
  const { kind, dims } = node.attrs as ReduceAttrs;
  const operand: Id = node.inputs[0] ?? 0;
  const { shape, dtype } = edit.type(operand);
  // The kernel takes its extent from an input, so a sum of constants alone reads one of them.
  const fromInputs = build(edit, group);
  const builder = fromInputs.inputs.length > 0 ? fromInputs : build(edit, group, true);
  const plain = group.members.length === 0;
  const code = plain ? { constants: [], code: [], results: [0] } : builder.finish([operand]);
  const inputs = plain ? [operand] : builder.inputs;
  edit.set(group.seed, {
    ...node,
    op: "map_reduce",
    inputs,
    attrs: { ...code, shape, dtype, kind, dims },
  });
}
