/** @file The runtime room: devices, buffers and loaded programs of the native library. */
export {
  type Algorithms,
  algorithmsOf,
  algorithmsText,
  cacheAlgorithms,
  readAlgorithms,
  useAlgorithms,
  withEarlier,
} from "./algorithms.ts";

export { DeviceBuffer } from "./buffer.ts";
export { chooseDevice, type DeviceChoice } from "./choose_device.ts";
export { cudaLibraryFolders, foundCudaLibrary } from "./cuda_libraries.ts";
export { cublasLtVersion, ncclVersion, versionText } from "./cuda_versions.ts";
export {
  Device,
  type DeviceInfo,
  type DeviceOptions,
  type GpuInfo,
  type GpuOptions,
  LEVELS,
  type Level,
  type LibraryInfo,
  libraryInfo,
  openDevice,
  openGpu,
  workDone,
} from "./device.ts";
export { DEVICE_FORM } from "./device_form.ts";
export { setEmbeddedLibrary } from "./library.ts";
export { unusedLibraries } from "./library_cache.ts";
export { type FailurePlace, NativeError, type StatusName } from "./native_error.ts";
export type { NativeRecords, RecordForm } from "./native_records.ts";
export { LoadedProgram, type ProgramInfo, type Slot, type Ticket } from "./program.ts";
export {
  type BpeVocabulary,
  type LentTokenizer,
  type LookFor,
  NativeTokenizer,
  type WordPattern,
} from "./tokenizer.ts";
export { TokenizerTrainer } from "./tokenizer_trainer.ts";
