/**
 * @file Alternates our step bench with PyTorch's on the same sizes and prints medians and the ratio. Machines are shared
 * and noisy: each round runs both sides back to back, and the ratio is the median of the rounds' ratios. On a GPU
 * (`--device cuda`) the peer is compiled, and `--json` keeps the figures in bench/results.jsonl.
 */
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { keepFigures } from "./results.ts";
import { isSize, SIZES } from "./sizes.ts";

/** The fields of both benches that are read here; both print more. */
interface StepFigures {
  readonly tokens_per_s: number;
  readonly ms_per_step: number;
  readonly gflops_per_s: number;
  readonly first_step_s: number;
  readonly peak_rss_mib: number;
  readonly peak_gpu_mib: number | null;
  readonly peer: string;
}

/** What only ours says: where the figures come from. */
interface OwnFigures extends StepFigures {
  readonly date: string;
  readonly device: string;
  readonly virtual: boolean;
  readonly driver: string | null;
  readonly cuda: number | null;
  readonly "mfu_causal_6N+6LCT": number | null;
  readonly "mfu_full_6N+12LCT": number | null;
}

const { values } = parseArgs({
  allowNegative: true,
  options: {
    device: { type: "string", default: "cpu" },
    sizes: { type: "string" },
    dtypes: { type: "string" },
    rounds: { type: "string" },
    seconds: { type: "string", default: "10" },
    // Instead of seconds: a peer that is compiled anew takes minutes to find out how long a step is.
    steps: { type: "string" },
    batch: { type: "string" },
    threads: { type: "string" },
    json: { type: "boolean", default: false },
    python: { type: "string", default: process.env.THESEUS_TORCH_PYTHON ?? "python3" },
    compile: { type: "boolean" },
    // The peer at its best: without the time that its initial values cost in subnormal arithmetic.
    "flush-denormal": { type: "boolean", default: true },
  },
});

const onGpu = values.device !== "cpu";
const sizes = values.sizes ?? (onGpu ? "gpt2-gpu" : "baby,small,gpt2");
const dtypes = values.dtypes ?? (onGpu ? "bf16" : "f32,bf16");
const rounds = Number(values.rounds ?? (onGpu ? 2 : 5));
const fixedSteps = values.steps ?? (onGpu ? "20" : undefined);
const compiles = values.compile ?? onGpu;
const passed = (["threads", "batch"] as const).flatMap((name) => {
  const value = values[name];
  return value === undefined ? [] : [`--${name}`, value];
});

async function figures<F extends StepFigures>(command: readonly string[]): Promise<F> {
  // A clean environment for the peer: variables that pin a slow BLAS kernel would flatter us.
  const env = { ...process.env };
  delete env.OPENBLAS_CORETYPE;
  delete env.OPENBLAS_L2_SIZE;
  const child = Bun.spawn([...command], { env, stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${command.join(" ")} exited with ${code}:\n${err}`);
  return JSON.parse(out.trim().split("\n").at(-1) ?? "");
}

const median = (numbers: readonly number[]): number => {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
};

async function compare(size: string, dtype: string): Promise<void> {
  if (!isSize(size)) throw new Error(`--sizes expected some of ${Object.keys(SIZES).join(", ")}`);
  const common = ["--size", size, "--dtype", dtype, ...passed];
  // Both at the same batch, whatever either's default is.
  if (values.batch === undefined) common.push("--batch", String(SIZES[size][4]));
  const ours = ["bun", "bench/step.ts", ...common, "--device", values.device];
  const peerDevice = values.device.split(":")[0] ?? "cpu";
  const peer = [values.python, "bench/peer_torch.py", ...common, "--device", peerDevice];
  if (compiles) peer.push("--compile");
  if (values["flush-denormal"] && !onGpu) peer.push("--flush-denormal");
  const steps = async (command: readonly string[]): Promise<string[]> => {
    if (fixedSteps !== undefined) return ["--steps", fixedSteps];
    const { ms_per_step } = await figures([...command, "--steps", "5"]);
    return [
      "--steps",
      String(Math.max(3, Math.ceil((Number(values.seconds) * 1e3) / ms_per_step))),
    ];
  };
  const [ourSteps, peerSteps] = [await steps(ours), await steps(peer)];
  const all: { ours: OwnFigures; peer: StepFigures }[] = [];
  for (let round = 0; round < rounds; round++) {
    const a = await figures<OwnFigures>([...ours, ...ourSteps]);
    const b = await figures([...peer, ...peerSteps]);
    all.push({ ours: a, peer: b });
    console.error(
      `${size} ${dtype} round ${round + 1}: ${a.tokens_per_s} vs ${b.tokens_per_s} tokens/s`,
    );
  }
  report(size, dtype, all);
}

function report(
  size: string,
  dtype: string,
  all: readonly { ours: OwnFigures; peer: StepFigures }[],
): void {
  const of = (pick: (f: StepFigures) => number, side: "ours" | "peer"): number =>
    median(all.map((round) => pick(round[side])));
  const [first] = all;
  if (first === undefined) return;
  const { date, device, virtual, driver, cuda } = first.ours;
  const mfu = (key: "mfu_causal_6N+6LCT" | "mfu_full_6N+12LCT") =>
    median(all.map(({ ours }) => ours[key] ?? Number.NaN));
  const line = {
    ...{ bench: "step beside PyTorch", size, dtype, date, device, virtual, driver, cuda },
    ...{ peer: first.peer.peer, compiled: compiles, rounds: all.length },
    ratio: Number(median(all.map((r) => r.ours.tokens_per_s / r.peer.tokens_per_s)).toFixed(3)),
    tokens_per_s: [of((f) => f.tokens_per_s, "ours"), of((f) => f.tokens_per_s, "peer")],
    gflops_per_s: [of((f) => f.gflops_per_s, "ours"), of((f) => f.gflops_per_s, "peer")],
    first_step_s: [of((f) => f.first_step_s, "ours"), of((f) => f.first_step_s, "peer")],
    peak_rss_mib: [of((f) => f.peak_rss_mib, "ours"), of((f) => f.peak_rss_mib, "peer")],
    memory_ratio: Number(
      median(all.map((r) => r.ours.peak_rss_mib / r.peer.peak_rss_mib)).toFixed(3),
    ),
    ...(onGpu
      ? {
          ms_per_step: [of((f) => f.ms_per_step, "ours"), of((f) => f.ms_per_step, "peer")],
          peak_gpu_mib: [
            of((f) => f.peak_gpu_mib ?? Number.NaN, "ours"),
            of((f) => f.peak_gpu_mib ?? Number.NaN, "peer"),
          ],
          "mfu_causal_6N+6LCT": mfu("mfu_causal_6N+6LCT"),
          "mfu_full_6N+12LCT": mfu("mfu_full_6N+12LCT"),
        }
      : {}),
  };
  console.log(JSON.stringify(line));
  if (values.json) keepFigures(line);
}

console.log(`# ${cpus()[0]?.model ?? "unknown CPU"}, ${cpus().length} logical CPUs; [ours, peer]`);
for (const size of sizes.split(",")) {
  for (const dtype of dtypes.split(",")) await compare(size, dtype);
}
