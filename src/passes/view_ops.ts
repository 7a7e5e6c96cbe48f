/** @file Ops that only look at memory in another way; the planner turns them into operand views. */

/** Views whose result has the dtype of the operand. */
export const VIEW_OPS: ReadonlySet<string> = new Set([
  "reshape",
  "transpose",
  "broadcast",
  "slice",
  "get",
  "stop_gradient",
]);

/** Ops that the planner realises itself, by views and copies. */
export const PLANNED_OPS: ReadonlySet<string> = new Set([
  ...VIEW_OPS,
  "bitcast",
  "concat",
  "pad",
  "input",
  "const",
]);
