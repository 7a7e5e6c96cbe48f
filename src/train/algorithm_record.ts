/**
 * @file algorithms.json of a run's folder: which of cuBLASLt's algorithms its products got. A run that goes on gets them again,
 * whatever the cache of the machine says by then, and so goes on with the same bits.
 */
import { join } from "node:path";
import {
  type Algorithms,
  algorithmsOf,
  algorithmsText,
  type Device,
  readAlgorithms,
  useAlgorithms,
  versionText,
  withEarlier,
} from "../runtime/index.ts";
import { writeAtomically } from "../util/atomic_file.ts";
import { log } from "../util/log.ts";

const FILE = "algorithms.json";

const cudaText = (number: number): string =>
  `${Math.floor(number / 1000)}.${Math.floor((number % 1000) / 10)}`;

const originText = ({ gpu, cuda_version, cublaslt_version }: Algorithms): string =>
  `${gpu} with CUDA ${cudaText(cuda_version)} and cuBLASLt ${versionText(cublaslt_version)}`;

/** Before the programs are loaded. */
export function useRunAlgorithms(directory: string, device: Device): void {
  const record = readAlgorithms(join(directory, FILE));
  const now = algorithmsOf(device);
  if (record === null || now === null) return;
  const attention = record.attention ?? "mma";
  if (useAlgorithms(device, { ...record, attention })) {
    if (attention === "mma" && now.attention === "wgmma")
      log.warn(
        "this run began without wgmma and goes on without it: THESEUS_CUDA_WGMMA=1 is for new runs",
      );
    return;
  }
  // That the kernels are others has been said already.
  if (record.capability !== now.capability) return;
  log.warn(
    `this run's products were computed on ${originText(record)}, ` +
      `from now on it is ${originText(now)}: bits may differ`,
  );
}

/** When they are loaded. What other programs of the run got, with other sizes, stays. */
export function keepRunAlgorithms(directory: string, device: Device): void {
  const record = algorithmsOf(device);
  if (record === null) return;
  const path = join(directory, FILE);
  writeAtomically(path, algorithmsText(withEarlier(record, readAlgorithms(path))));
}
