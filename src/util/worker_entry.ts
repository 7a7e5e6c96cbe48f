/**
 * @file Where a thread's program is: in the executable under the name that scripts/build.ts gave it, else beside the sources. Every
 * such file stands in WORKERS of scripts/build.ts.
 */

/** `path` from the root of the repository: `src/data/prefetch_worker.ts`. */
export const workerEntry = (path: string): string =>
  import.meta.url.includes("/$bunfs/")
    ? `./${path}`
    : new URL(`../../${path}`, import.meta.url).href;
