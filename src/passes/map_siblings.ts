/**
 * @file Two groups that read the same values become one kernel, so that the values are read once: the two gradients of a
 * gated unit, say. Only where it costs no memory: what the later group makes earlier is no more than what both free.
 */
import type { Graph, Id } from "../ir/graph.ts";
import {
  MAX_CONSTANTS,
  MAX_INPUTS,
  MAX_INSTRUCTIONS,
  MAX_RESULTS,
} from "../ops/lowered/map_code.ts";
import { sameShape } from "../util/shapes.ts";
import type { Consumers } from "./consumers.ts";
import { nodeOf, rootOf } from "./graph_queries.ts";
import type { Group, Grouping } from "./map_groups.ts";
import { bytesOf } from "./memory.ts";

export function mergeSiblings(graph: Graph, consumers: Consumers, grouping: Grouping): void {
  const readers = new Map<Id, Group>();
  const inOrder = grouping.groups.toSorted((a, b) => a.seed - b.seed);
  for (const group of inOrder) {
    if (group.isReduce) continue;
    let merged = false;
    for (const input of group.inputs) {
      const earlier = readers.get(input);
      if (earlier === undefined || merged) continue;
      merged = tryMerge(graph, consumers, grouping, earlier, group);
    }
    if (merged) continue;
    // The latest group that reads a value is the nearest.
    for (const input of group.inputs) readers.set(input, group);
  }
}

function tryMerge(
  graph: Graph,
  consumers: Consumers,
  grouping: Grouping,
  first: Group,
  second: Group,
): boolean {
  const seeds = [nodeOf(graph, first.seed), nodeOf(graph, second.seed)] as const;
  const sameKind =
    seeds[0].phase === seeds[1].phase &&
    sameShape(seeds[0].types[0]?.shape ?? [], seeds[1].types[0]?.shape ?? []);
  if (!sameKind || !fits(first, second)) return false;
  // The merged group runs where the first one does.
  for (const input of second.inputs) {
    const root = rootOf(graph, input);
    const { op } = nodeOf(graph, root);
    if (op !== "input" && op !== "const" && grouping.position(root) >= first.seed) return false;
  }
  const made = sum(second.results, (id) => sizeOf(graph, id));
  const freed = sum([...second.inputs], (id) => {
    const onlyTheirs = consumers.of(id).every((reader) => {
      const at = grouping.position(reader);
      return at === first.seed || at === second.seed;
    });
    const isTemporary = nodeOf(graph, rootOf(graph, id)).op !== "input";
    return onlyTheirs && isTemporary && !consumers.output(id) ? sizeOf(graph, id) : 0;
  });
  if (freed < made) return false;
  grouping.merge(first, second);
  return true;
}

const sum = (ids: readonly Id[], bytes: (id: Id) => number): number =>
  ids.reduce((total, id) => total + bytes(id), 0);

function sizeOf(graph: Graph, id: Id): number {
  const { op, types, inputs } = nodeOf(graph, id);
  if (op === "broadcast") return sizeOf(graph, inputs[0] ?? 0);
  const type = types[0];
  return type === undefined ? 0 : bytesOf(type.shape, type.dtype);
}

function fits(a: Group, b: Group): boolean {
  return (
    a.results.length + b.results.length <= MAX_RESULTS &&
    a.instructions + b.instructions <= MAX_INSTRUCTIONS &&
    a.constants + b.constants <= MAX_CONSTANTS &&
    a.inputs.union(b.inputs).size <= MAX_INPUTS
  );
}
