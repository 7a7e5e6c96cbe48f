/** @file A model of the hub as a folder of the cache: its configuration, its weights, and what belongs to its tokenizer. */
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { hubFile } from "../data/hub/hub_file.ts";
import { hubFiles } from "../data/hub/hub_files.ts";
import { UserError } from "../util/errors.ts";

const NAMED = [
  ...["config.json", "generation_config.json", "adapter_config.json", "adapter_model.safetensors"],
  ...["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"],
];
const WHOLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";

function shardsOf(path: string): string[] {
  const { weight_map: map } = JSON.parse(readFileSync(path, "utf8")) as { weight_map?: object };
  return [...new Set(Object.values(map ?? {}))].filter((file) => typeof file === "string");
}

/** Whether a file of a model's repository would be fetched. */
export const isModelFile = (path: string): boolean =>
  NAMED.includes(path) || path === INDEX || /^model(-\d+-of-\d+)?\.safetensors$/.test(path);

/** `repo` is org/name or org/name@revision. All files come from one commit. */
export async function hubModel(repo: string): Promise<string> {
  const [name = "", revision] = repo.split("@");
  const at = revision === undefined ? {} : { revision };
  const { commit, files } = await hubFiles(name, { kind: "model", ...at });
  const there = new Set(files.map((file) => file.path));
  const fetch = (file: string) => hubFile(name, file, { kind: "model", revision: commit });
  const present = NAMED.filter((file) => there.has(file));
  const [first] = present;
  if (first === undefined || !(there.has("config.json") || there.has("adapter_config.json")))
    throw new UserError(`model ${repo} has no config.json`, { code: "not_found" });
  const folder = dirname(await fetch(first));
  for (const file of present.slice(1)) await fetch(file);
  if (there.has(INDEX)) for (const shard of shardsOf(await fetch(INDEX))) await fetch(shard);
  else if (there.has(WHOLE)) await fetch(WHOLE);
  else if (!there.has("adapter_model.safetensors"))
    throw new UserError(`model ${repo} has no ${WHOLE} and no ${INDEX}`, {
      code: "not_found",
      hint: "weights in other formats (pytorch_model.bin, gguf) are not read: convert them to safetensors",
    });
  return folder;
}
