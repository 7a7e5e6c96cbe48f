/**
 * @file Alternates decoding with a cache here (bench/decode_ours.ts) with PyTorch's (bench/peer_decode_torch.py) on GPT-2 124M shapes and
 * prints medians and the ratio. Each round runs both sides back to back, the ratio is the median of the rounds' ratios.
 */
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    batches: { type: "string", default: "1,8" },
    // What each side computes in: ours under `mixed` reads bf16 weights; the peer is quickest in f32 on a CPU without bf16 products.
    dtypes: { type: "string", default: "f32:f32,bf16:f32" },
    rounds: { type: "string", default: "3" },
    tokens: { type: "string", default: "32" },
    prompt: { type: "string", default: "64" },
    threads: { type: "string", default: "2" },
    python: { type: "string", default: process.env.THESEUS_TORCH_PYTHON ?? "python3" },
  },
});

interface Figures {
  readonly ms_per_step: number;
  readonly prefill_ms: number;
}

async function figures(command: readonly string[]): Promise<Figures> {
  const child = Bun.spawn([...command], { stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${command.join(" ")} exited with ${code}:\n${err}`);
  return JSON.parse(out.trim().split("\n").at(-1) ?? "");
}

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN;

for (const batch of values.batches.split(","))
  for (const pair of values.dtypes.split(",")) {
    const [own = "f32", peers = "f32"] = pair.split(":");
    const { tokens, prompt, threads } = values;
    const sizes = ["--batch", batch, "--tokens", tokens, "--prompt", prompt, "--threads", threads];
    const rounds: { ours: Figures; peer: Figures }[] = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      const ours = await figures(["bun", "bench/decode_ours.ts", "--dtype", own, ...sizes]);
      const peer = await figures([
        ...[values.python, "bench/peer_decode_torch.py", "--dtype", peers, ...sizes],
      ]);
      rounds.push({ ours, peer });
    }
    const ms = (side: "ours" | "peer") => median(rounds.map((each) => each[side].ms_per_step));
    const ratio = median(rounds.map(({ ours, peer }) => peer.ms_per_step / ours.ms_per_step));
    console.log(
      JSON.stringify({
        ...{ batch: Number(batch), ours_dtype: own, peer_dtype: peers, ours_ms: ms("ours") },
        ...{ peer_ms: ms("peer"), ratio: Number(ratio.toFixed(2)), rounds: rounds.length },
      }),
    );
  }
