/** @file The tokenizer of a model of the hub, as a folder of the cache. */
import { dirname } from "node:path";
import { UserError } from "../../util/errors.ts";
import { hubFile } from "../hub/hub_file.ts";
import { hubFiles } from "../hub/hub_files.ts";
import { BESIDE, TOKENIZER_FILE } from "./tokenizer_folder.ts";

/** `repo` is org/name or org/name@revision. All files come from one commit. */
export async function hubTokenizer(repo: string): Promise<string> {
  const [name = "", revision] = repo.split("@");
  const { commit, files } = await hubFiles(name, {
    kind: "model",
    ...(revision === undefined ? {} : { revision }),
  });
  const names = new Set(files.map((file) => file.path));
  if (!names.has(TOKENIZER_FILE))
    throw new UserError(`model ${repo} has no ${TOKENIZER_FILE}`, {
      code: "not_found",
      hint: "convert it once: in Python, AutoTokenizer.from_pretrained(NAME).save_pretrained(FOLDER), then name the folder",
    });
  const at = { kind: "model", revision: commit } as const;
  const path = await hubFile(name, TOKENIZER_FILE, at);
  for (const file of BESIDE) if (names.has(file)) await hubFile(name, file, at);
  return dirname(path);
}
