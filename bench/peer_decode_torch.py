#!/usr/bin/env python3
"""Decoding with a key-value cache in PyTorch: the peer that `bench/decode.ts` is compared with.

GPT-2 shapes with random weights; the cache is allocated once and written in place, nothing is copied per token.
Usage: peer_decode_torch.py [--batch B] [--prompt N] [--tokens N] [--dtype f32|bf16] [--threads N] [--compile]
Prints one JSON line: median milliseconds of a step, tokens/s of all rows together, milliseconds of the prefill.
"""
import argparse, json, os, statistics, time

p = argparse.ArgumentParser()
p.add_argument("--batch", type=int, default=1); p.add_argument("--prompt", type=int, default=64)
p.add_argument("--tokens", type=int, default=64); p.add_argument("--dtype", default="f32")
p.add_argument("--threads", type=int, default=os.cpu_count()); p.add_argument("--compile", action="store_true")
a = p.parse_args()
import torch, torch.nn as nn, torch.nn.functional as F
torch.set_num_threads(a.threads); torch.manual_seed(0)

L, H, C, T, V = 12, 12, 768, 1024, 50257
D = C // H

class Block(nn.Module):
    def __init__(s):
        super().__init__()
        s.ln1, s.ln2 = nn.LayerNorm(C), nn.LayerNorm(C)
        s.qkv, s.proj = nn.Linear(C, 3 * C), nn.Linear(C, C)
        s.up, s.down = nn.Linear(C, 4 * C), nn.Linear(4 * C, C)
    def forward(s, x, cache, at):
        b, t, _ = x.shape
        q, k, v = (z.view(b, t, H, D).transpose(1, 2) for z in s.qkv(s.ln1(x)).split(C, 2))
        cache[0][:, :, at:at + t] = k; cache[1][:, :, at:at + t] = v
        k, v = cache[0][:, :, :at + t], cache[1][:, :, :at + t]
        y = F.scaled_dot_product_attention(q, k, v, is_causal=t > 1)
        x = x + s.proj(y.transpose(1, 2).reshape(b, t, C))
        return x + s.down(F.gelu(s.up(s.ln2(x)), approximate="tanh"))

class GPT(nn.Module):
    def __init__(s):
        super().__init__()
        s.wte, s.wpe = nn.Embedding(V, C), nn.Embedding(T, C)
        s.blocks, s.ln = nn.ModuleList(Block() for _ in range(L)), nn.LayerNorm(C)
    def forward(s, idx, caches, at):
        x = s.wte(idx) + s.wpe(torch.arange(at, at + idx.shape[1]))
        for blk, cache in zip(s.blocks, caches): x = blk(x, cache, at)
        return F.linear(s.ln(x[:, -1]), s.wte.weight)

dtype = torch.bfloat16 if a.dtype == "bf16" else torch.float32
m = GPT().eval().to(dtype)
f = torch.compile(m, dynamic=True) if a.compile else m
with torch.inference_mode():
    caches = [torch.zeros(2, a.batch, H, T, D, dtype=dtype) for _ in range(L)]
    def run():
        t0 = time.perf_counter()
        logits = f(torch.randint(V, (a.batch, a.prompt)), caches, 0)
        prefill = time.perf_counter() - t0
        steps = []
        for i in range(a.tokens):
            t0 = time.perf_counter()
            logits = f(logits.argmax(-1, keepdim=True), caches, a.prompt + i)
            steps.append(time.perf_counter() - t0)
        return prefill, steps
    run()
    prefill, steps = run()
ms = statistics.median(steps) * 1e3
print(json.dumps(dict(peer="pytorch " + torch.__version__, dtype=a.dtype, compiled=a.compile, threads=a.threads, batch=a.batch,
    prompt=a.prompt, tokens=a.tokens, ms_per_step=round(ms, 2), min_ms=round(min(steps) * 1e3, 2),
    tokens_per_s=round(a.batch * 1e3 / ms, 1), prefill_ms=round(prefill * 1e3, 1))))
