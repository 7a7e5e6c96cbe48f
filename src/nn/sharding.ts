/**
 * @file Sharding rules: axis name -> mesh axis. Modules carry defaults on their class; a job may override them. Partitioning
 * is a pass; here the rules are only checked, so that a name nobody uses cannot stay unnoticed.
 */
import { UserError } from "../util/errors.ts";
import { didYouMean } from "../util/suggest.ts";
import { axesText } from "./axis.ts";
import type { Module, ModuleClass } from "./module.ts";

/** `{ n_embd_ff: "tensor" }`. */
export type Rules = Readonly<Record<string, string>>;

/** Sizes of the mesh axes: `{ data: 4, tensor: 2 }`. */
export type Mesh = Readonly<Record<string, number>>;

/** Axes of activations, which no parameter carries. */
const ACTIVATION_AXES = ["batch", "seq"];

const fail = (message: string): never => {
  throw new UserError(`[sharding] ${message}`, { code: "config" });
};

function checkRules(where: string, rules: Rules, module: Module): void {
  const params = module.parameters();
  const known = new Set([...ACTIVATION_AXES, ...params.flatMap((p) => p.axes.map((a) => a.name))]);
  for (const name of Object.keys(rules)) {
    if (known.has(name)) continue;
    const list = params.map((p) => `${p.path} ${axesText(p.axes)}`);
    const shown = list.slice(0, 4).join(", ") + (list.length > 4 ? ", ..." : "");
    const guess = didYouMean(name, known);
    fail(`${where}: no parameter has an axis "${name}" (there are ${shown}).${guess}`);
  }
}

/** Checks the rules on every module's class, then `rules` for the whole model, then that the mesh divides each axis. */
export function checkSharding(root: Module, mesh: Mesh = {}, rules: Rules = {}): void {
  const merged: Record<string, string> = {};
  for (const module of root.modules()) {
    const own = (module.constructor as ModuleClass).sharding ?? {};
    checkRules(module.path === "" ? module.constructor.name : module.path, own, module);
    Object.assign(merged, own);
  }
  checkRules("sharding", rules, root);
  Object.assign(merged, rules);
  for (const param of root.parameters()) {
    for (const { name, size } of param.axes) {
      const meshAxis = merged[name];
      const parts = meshAxis === undefined ? 1 : (mesh[meshAxis] ?? 1);
      if (size % parts !== 0)
        fail(`${param.path}: axis ${name} of size ${size} is not divided by ${meshAxis}=${parts}`);
    }
  }
}
