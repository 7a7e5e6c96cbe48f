/** @file What doctor says of GPUs: which there are, their driver, the library's kernels, and who holds their memory. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Workplace } from "../cli/command_line.ts";
import { CUBLASLT, DRIVER, NCCL, useVirtualGpu } from "./virtual_gpu.ts";

setDefaultTimeout(60_000);
const place = new Workplace();
useVirtualGpu();
afterAll(() => place.remove());

interface Check {
  readonly name: string;
  readonly state: string;
  readonly detail: string;
  readonly fix?: string;
}

async function doctor(env: Readonly<Record<string, string>>) {
  const { code, stdout } = await place.run(["doctor", "--json"], {
    ...{ THESEUS_CUDA_DRIVER: DRIVER, ...env },
  });
  expect(code).toBe(0);
  const { checks } = JSON.parse(stdout) as { checks: readonly Check[] };
  return (name: string) => checks.find((check) => check.name === name);
}

test("a GPU by its name, with capability, CUDA and memory", async () => {
  const check = await doctor({ THESEUS_VGPU_DEVICES: "3" });
  const { state, detail } = check("cuda") ?? { state: "", detail: "" };
  expect(state).toBe("ok");
  expect(detail).toMatch(
    /^GPU 0 of 3: virtual GPU, compute capability 9.0, (driver .*)?CUDA 13.0, /,
  );
  expect(detail).toEndWith(", 4.00 GiB of 4.00 GiB free");
  expect(check("cuda kernels")?.detail).toMatch(/^sm_80, sm_90a, |built without kernels/);
});

test("the libraries beside it, with their versions", async () => {
  const check = await doctor({ THESEUS_VGPU_CUBLASLT: "130102" });
  expect(check("cublaslt")?.detail).toBe(`${CUBLASLT}, version 13.1.2`);
  expect(check("nccl")?.detail).toBe(`${NCCL}, version 2.28.5`);
  // Without a GPU it is looked for all the same, and one that does not open says so.
  const folder = join(place.path, "libraries");
  mkdirSync(folder);
  for (const name of ["libcublasLt.so.13", "libnccl.so.2"])
    writeFileSync(join(folder, name), "no library");
  const env = { THESEUS_CUDA_DRIVER: "/none/libcuda.so.1", THESEUS_CUDA_LIBRARIES: folder };
  const alone = await doctor(env);
  expect(alone("cublaslt")?.detail).toBe(`${folder}/libcublasLt.so.13, which does not open`);
  expect(alone("nccl")?.detail).toBe(`${folder}/libnccl.so.2, which does not open`);
  copyFileSync(CUBLASLT, join(folder, "libcublasLt.so.13"));
  copyFileSync(DRIVER, join(folder, "libdriver.so"));
  const found = (await doctor(env))("cublaslt");
  expect(found?.detail).toBe(`${folder}/libcublasLt.so.13, version 13.0.2`);
});

test.each([
  ["memory that others hold", { THESEUS_VGPU_TAKEN: "4000000000" }, /281 MiB of 4.00 GiB free/],
  ["an old driver", { THESEUS_VGPU_DRIVER: "12040" }, /serves CUDA 12.4, CUDA 13.0 is needed/],
  ["none", { THESEUS_CUDA_DRIVER: "/none/libcuda.so.1" }, /no NVIDIA driver/],
  ["an old GPU", { THESEUS_VGPU_CAPABILITY: "75" }, /capability 7.5, at least 8.0/],
])("%s: a warning", async (_, env, detail) => {
  const check = await doctor(env);
  expect(check("cuda")?.state).toBe("warn");
  expect(check("cuda")?.detail).toMatch(detail);
});
