/** @file Drops the nodes that no output needs. */
import type { Graph } from "../ir/graph.ts";
import { Edit } from "./edit.ts";

export const dead = (graph: Graph): Graph => new Edit(graph).finish();
