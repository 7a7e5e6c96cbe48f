/**
 * @file A configuration to read and assign to as nested objects. Every assignment is checked like the same line of a YAML
 * file, and sets nothing when it is wrong; a whole group may be assigned and is merged.
 */
import type { ConfigSchema } from "../config/collect.ts";
import type { Config, PlainTree } from "../config/config.ts";
import { checkAssignment, loadConfig } from "../config/load.ts";
import { unknownKey } from "../config/yaml.ts";
import { ConfigError } from "../util/errors.ts";

const SOURCE = "run.config";

/** Lists cannot be changed behind the check's back. */
function frozen(value: unknown): unknown {
  return Array.isArray(value) ? Object.freeze(value.map(frozen)) : value;
}

export class LiveConfig {
  readonly tree: PlainTree;
  /** From now on assignments are errors. */
  fixed = false;
  private readonly schema: ConfigSchema;
  /** By slash path; a field that is required and not set yet has no entry. */
  private readonly values = new Map<string, unknown>();
  /** The plain objects behind the tree, by slash path of the group. */
  private readonly groups = new Map<string, PlainTree>();

  constructor(schema: ConfigSchema, start: Config | undefined) {
    this.schema = schema;
    this.tree = this.group([]);
    for (const [path, field] of schema.fields) {
      const value = start === undefined ? field.default : start.at(path);
      this.store(path, value);
    }
  }

  /** Throws a ConfigError that lists what is still missing. */
  toConfig(): Config {
    const values: PlainTree = {};
    for (const [path, value] of this.values) {
      const parts = path.split("/");
      const last = parts.pop() ?? "";
      let at = values;
      for (const part of parts) {
        at[part] ??= {};
        at = at[part] as PlainTree;
      }
      at[last] = value;
    }
    return loadConfig({ schema: this.schema, values });
  }

  assign(parts: readonly string[], value: unknown): void {
    if (this.fixed)
      throw new ConfigError(`${parts.join(".")}  the run has started, its settings are fixed`, {
        hint: "make another run with quick(...)",
        place: { path: SOURCE, key: parts.join(".") },
      });
    for (const [path, each] of checkAssignment(this.schema, parts, value, SOURCE))
      this.store(path, each);
  }

  private store(path: string, value: unknown): void {
    const parts = path.split("/");
    const last = parts.pop() ?? "";
    const kept = frozen(value);
    this.groupAt(parts)[last] = kept;
    if (kept !== undefined) this.values.set(path, kept);
  }

  private groupAt(parts: readonly string[]): PlainTree {
    const path = parts.join("/");
    const known = this.groups.get(path);
    if (known !== undefined) return known;
    const name = parts.at(-1) ?? "";
    this.groupAt(parts.slice(0, -1))[name] = this.group(parts);
    return this.groupAt(parts);
  }

  private group(parts: readonly string[]): PlainTree {
    const plain: PlainTree = {};
    this.groups.set(parts.join("/"), plain);
    const refuse = (key: string, message: string): never => {
      const full = [...parts, key].join(".");
      throw new ConfigError(`${full}  ${message}`, { place: { path: SOURCE, key: full } });
    };
    return new Proxy(plain, {
      get: (target, key) => {
        // What the language itself asks of any object (await, JSON, printing) is not a setting.
        if (typeof key === "symbol" || key in target || key === "then" || key === "toJSON")
          return Reflect.get(target, key);
        return refuse(key, unknownKey([...parts, key], this.schema.fields.keys()));
      },
      set: (_target, key, value) => {
        this.assign([...parts, String(key)], value);
        return true;
      },
      deleteProperty: (_target, key) => refuse(String(key), "a setting cannot be removed"),
      defineProperty: (_target, key) => refuse(String(key), "assign the value instead"),
    });
  }
}
