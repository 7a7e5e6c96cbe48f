/** @file The order of samples from folders of tokens as plain data, from which every thread makes the same sampler. */
import { MixtureSampler, type Stage } from "./samples/mixture.ts";
import { RowSampler } from "./samples/packed_rows.ts";
import type { Packing } from "./samples/packing.ts";
import type { Sampler } from "./samples/sampler.ts";
import { StreamSampler } from "./samples/windows.ts";
import { TokenFolder } from "./shards/token_folder.ts";

export interface FolderPlan {
  readonly folders: readonly string[];
  readonly stages: readonly Stage[];
  readonly length: number;
  readonly seed: number;
  readonly separate: boolean;
}

export interface FolderSampler {
  readonly sampler: Sampler;
  /** One a folder; null: a stream, which needs none. */
  readonly packings: readonly (Packing | null)[];
}

/** `packings`: where another thread has computed them. */
export function folderSampler(
  plan: FolderPlan,
  opened?: readonly TokenFolder[],
  packings?: readonly (Packing | null)[],
): FolderSampler {
  const { length, seed, separate } = plan;
  const folders = opened ?? plan.folders.map(TokenFolder.open);
  const parts = folders.map((folder, source) => {
    const options = { length, seed, source, separate };
    const store = folder.store("train");
    return folder.index.kind === "rows"
      ? new RowSampler(store, options, packings?.[source] ?? undefined)
      : new StreamSampler(store, options);
  });
  const [first] = parts;
  const single = first !== undefined && parts.length === 1;
  const sampler = single ? first : new MixtureSampler(parts, plan.stages);
  const packed = parts.map((part) => (part instanceof RowSampler ? part.packing : null));
  return { sampler, packings: packed };
}
