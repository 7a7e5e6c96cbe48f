/**
 * @file Where the libraries of CUDA may lie that are opened at run time (cuBLASLt, NCCL): a configured folder, the toolkit, the
 * Python packages of `scripts/setup --cuda`, of conda and of a virtual environment, then wherever the linker looks.
 */
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";

const TOOLKIT = "/usr/local/cuda";
/** Of this source tree, where there is one. */
const TOOLS = join(import.meta.dir, "../../.tools/cuda");
/** The linker's own search. */
const ANYWHERE = "";

const isSet = (text: string | undefined): text is string => text !== undefined && text !== "";

/** Folders of the nvidia-* packages under a Python installation. */
function pythonPackages(prefix: string): string[] {
  const lib = join(prefix, "lib");
  if (!existsSync(lib)) return [];
  return readdirSync(lib)
    .filter((name) => /^python3/.test(name))
    .flatMap((name) => packagesIn(join(lib, name, "site-packages")));
}

/** CUDA 13 puts all libraries into one folder; NCCL has one of its own. */
const packagesIn = (sitePackages: string): string[] => [
  join(sitePackages, "nvidia/cu13/lib"),
  join(sitePackages, "nvidia/nccl/lib"),
];

/** A driver in one of the folders that a configuration names; empty: the system's. */
export const driverIn = (folders: readonly string[]): string =>
  folders.map((folder) => join(folder, "libcuda.so.1")).find((path) => existsSync(path)) ?? "";

/** Where a library lies that a program of ours would open; null: not in any folder that is known. */
export function foundCudaLibrary(name: string): string | null {
  const driver = process.env.THESEUS_CUDA_DRIVER;
  const places = [
    ...cudaLibraryFolders(driver),
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib64",
    "/lib64",
  ];
  const paths = places.filter(isSet).map((folder) => join(folder, name));
  return paths.find((path) => existsSync(path)) ?? null;
}

/**
 * Folders in the order in which they are tried: `configured`, those of the environment, and so on; `driver`: path of a driver that brings
 * its own libraries.
 */
export function cudaLibraryFolders(driver = "", configured: readonly string[] = []): string[] {
  const { env } = process;
  const list = (env.THESEUS_CUDA_LIBRARIES ?? "").split(":").filter(isSet);
  const own = driver.includes("/") ? [dirname(driver)] : [];
  const toolkits = [env.CUDA_HOME, TOOLKIT].filter(isSet).map((home) => join(home, "lib64"));
  const pythons = [env.CONDA_PREFIX, env.VIRTUAL_ENV].filter(isSet);
  const condas = [env.CONDA_PREFIX].filter(isSet).map((prefix) => join(prefix, "lib"));
  return [
    ...configured,
    ...list,
    ...own,
    ...toolkits,
    ...packagesIn(TOOLS),
    ...condas,
    ...pythons.flatMap(pythonPackages),
    ANYWHERE,
  ];
}
