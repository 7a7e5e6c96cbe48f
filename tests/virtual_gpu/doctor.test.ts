/** @file What doctor says of GPUs: which there are, their driver, the library's kernels, and who holds their memory. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { Workplace } from "../cli/command_line.ts";
import { buildVirtualGpu, DRIVER } from "./virtual_gpu.ts";

setDefaultTimeout(60_000);
const place = new Workplace();
beforeAll(buildVirtualGpu);
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
