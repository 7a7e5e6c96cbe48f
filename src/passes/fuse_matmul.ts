/** @file Every dot becomes a `matmul` together with the epilogue that follows it. */
import type { Graph, Id, Node } from "../ir/graph.ts";
import type { MatmulAttrs } from "../ops/lowered/matmul.ts";
import { Consumers } from "./consumers.ts";
import { type Product, productOf, reshaped } from "./dot_operands.ts";
import { Edit } from "./edit.ts";
import { type Epilogue, epilogueOf } from "./epilogue.ts";
import { availableFrom, rootOf, stateUpdates } from "./graph_queries.ts";

export interface FuseMatmulOptions {
  /** False: the product alone. */
  readonly fuse: boolean;
}

export function fuseMatmul(graph: Graph, options: FuseMatmulOptions = { fuse: true }): Graph {
  const edit = new Edit(graph);
  const consumers = new Consumers(graph);
  const updates = options.fuse ? stateUpdates(graph, consumers) : new Set<Id>();
  // The end of an epilogue is there as soon as its product, so that a later product can take it in turn.
  const moved = new Map<Id, number>();
  let id = 0;
  for (const node of graph.nodes) {
    if (node.op === "dot") {
      const product = productOf(edit, node);
      const epilogue = options.fuse
        ? epilogueOf({ graph, consumers, moved }, id, product.n)
        : plainEpilogue(id);
      const isUpdate = updates.has(rootOf(graph, epilogue.end));
      const early = isUpdate ? earliestPosition(graph, node, epilogue) : epilogue.position;
      const position = Math.min(early, epilogue.position);
      write(edit, node, product, { ...epilogue, position }, isUpdate);
      moved.set(rootOf(graph, epilogue.end), position);
    }
    id++;
  }
  return edit.finish();
}

/**
 * Weight gradients run as soon as their operands exist, before the product that passes the gradient on: the
 * activation that they read is then free for what that product makes.
 */
function earliestPosition(graph: Graph, dot: Node, { residual, bias, aux }: Epilogue): Id {
  let latest = -1;
  for (const operand of [...dot.inputs, residual, bias, aux]) {
    if (operand !== null) latest = Math.max(latest, availableFrom(graph, operand));
  }
  return latest + 1;
}

const plainEpilogue = (dot: Id): Epilogue => ({
  end: dot,
  position: dot,
  alpha: 1,
  bias: null,
  activation: "none",
  saved: null,
  aux: null,
  residual: null,
});

function write(edit: Edit, node: Node, product: Product, epilogue: Epilogue, first: boolean): void {
  const { a, b, batch, m, n } = product;
  const { bias, residual, aux, saved, end } = epilogue;
  const whole = [batch, m, n];
  const inputs = [a, b];
  if (bias !== null) inputs.push(reshaped(edit, bias, node, [n]));
  if (residual !== null) inputs.push(reshaped(edit, residual, node, whole));
  if (aux !== null) inputs.push(reshaped(edit, aux, node, whole));
  const attrs: MatmulAttrs = {
    compute: edit.type(a).dtype === "bf16" ? "bf16" : "f32",
    alpha: epilogue.alpha,
    bias: bias !== null,
    residual: residual !== null,
    activation: epilogue.activation,
    saveAux: saved !== null,
    activationGrad: aux !== null,
    out: "f32",
  };
  const type = { shape: whole, dtype: "f32" } as const;
  const types = saved === null ? [type] : [type, type];
  const matmul = edit.addAt(
    epilogue.position,
    { ...node, op: "matmul", inputs, attrs, types },
    first,
  );
  const result = reshaped(edit, matmul, node, edit.type(end).shape);
  if (saved !== null) {
    const get = {
      ...node,
      op: "get",
      inputs: [matmul],
      attrs: { index: 1, ...type },
      types: [type],
    };
    edit.redirect(saved, reshaped(edit, edit.add(get), node, edit.type(saved).shape));
  }
  edit.redirect(end, result);
}
