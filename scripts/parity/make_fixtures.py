"""Writes the fixtures that tests/parity compares with: small GPTs in PyTorch, computed in f64.

Usage:  python scripts/parity/make_fixtures.py [OUTPUT_DIRECTORY]     (needs torch; default tests/fixtures/parity)
Afterwards `bun run format` lays the JSON out as the repository has it.

For each variant it writes NAME.safetensors (f32: weights, activations, logits, gradients) and NAME.json (configuration,
token batches, losses, and the table that maps our parameter paths to PyTorch's names). Weights are drawn with a fixed
seed and rounded to f32 before anything is computed, so both sides start from the same numbers; results are computed in
f64 and rounded once when they are stored.
"""

import json
import math
import pathlib
import struct
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

IGNORED = -1
STEPS = 50
BATCHES = 10
ADAMW = {"learning_rate": 3e-4, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1, "grad_clip": 1.0}

VARIANTS = {
    # GPT-2 style: learned positions (more of them than the sequence has), biases, LayerNorm, GELU, tied embeddings.
    "gpt2_style": {
        "n_layer": 3, "n_embd": 32, "n_head": 4, "n_kv_head": None, "block_size": 30, "vocab_size": 67,
        "positions": "learned", "bias": True, "tie_embeddings": True, "norm": "layer", "norm_eps": 1e-5,
        "activation": "gelu_tanh", "glu": False, "ff_width": None, "rope_theta": 10000.0, "rows": 3, "length": 23,
    },
    # Llama style: rotary positions, no biases, RMSNorm, gated SiLU, shared key heads, a head of its own.
    "llama_style": {
        "n_layer": 2, "n_embd": 48, "n_head": 4, "n_kv_head": 2, "block_size": 24, "vocab_size": 61,
        "positions": "rotary", "bias": False, "tie_embeddings": False, "norm": "rms", "norm_eps": 1e-6,
        "activation": "silu", "glu": True, "ff_width": 80, "rope_theta": 10000.0, "rows": 3, "length": 24,
    },
}


def norm_of(c):
    if c["norm"] == "rms":
        return nn.RMSNorm(c["n_embd"], eps=c["norm_eps"])
    return nn.LayerNorm(c["n_embd"], eps=c["norm_eps"], bias=c["bias"])


def rotate(x, theta):
    """x [B, H, T, D]: pairs (i, i + D/2), as in Llama's published code (cos, sin over the whole width)."""
    length, dim = x.shape[-2:]
    frequency = theta ** (-torch.arange(0, dim, 2, dtype=x.dtype) / dim)
    angle = torch.outer(torch.arange(length, dtype=x.dtype), frequency)
    cos = torch.cat([angle.cos(), angle.cos()], -1)
    sin = torch.cat([angle.sin(), angle.sin()], -1)
    half = dim // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return x * cos + turned * sin


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.heads = c["n_head"]
        self.groups = c["n_kv_head"] or c["n_head"]
        self.dim = c["n_embd"] // self.heads
        self.c_attn = nn.Linear(c["n_embd"], (self.heads + 2 * self.groups) * self.dim, bias=c["bias"])
        self.c_proj = nn.Linear(c["n_embd"], c["n_embd"], bias=c["bias"])

    def forward(self, x):
        batch, length, width = x.shape
        sizes = [self.heads * self.dim, self.groups * self.dim, self.groups * self.dim]
        q, k, v = (
            part.view(batch, length, -1, self.dim).transpose(1, 2) for part in self.c_attn(x).split(sizes, -1)
        )
        if self.c["positions"] == "rotary":
            q, k = rotate(q, self.c["rope_theta"]), rotate(k, self.c["rope_theta"])
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=self.groups != self.heads)
        return self.c_proj(y.transpose(1, 2).reshape(batch, length, width))


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        inner = c["ff_width"] or 4 * c["n_embd"]
        self.c_gate = nn.Linear(c["n_embd"], inner, bias=c["bias"]) if c["glu"] else None
        self.c_fc = nn.Linear(c["n_embd"], inner, bias=c["bias"])
        self.c_proj = nn.Linear(inner, c["n_embd"], bias=c["bias"])

    def forward(self, x):
        if self.c_gate is not None:
            return self.c_proj(F.silu(self.c_gate(x)) * self.c_fc(x))
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.ln_1, self.attn, self.ln_2, self.mlp = norm_of(c), Attention(c), norm_of(c), Mlp(c)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Gpt(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.wte = nn.Embedding(c["vocab_size"], c["n_embd"])
        self.wpe = nn.Embedding(c["block_size"], c["n_embd"]) if c["positions"] == "learned" else None
        self.h = nn.ModuleList(Block(c) for _ in range(c["n_layer"]))
        self.ln_f = norm_of(c)
        self.lm_head = nn.Linear(c["n_embd"], c["vocab_size"], bias=False)
        if c["tie_embeddings"]:
            self.lm_head.weight = self.wte.weight

    def forward(self, ids, record=None):
        x = self.wte(ids)
        if self.wpe is not None:
            x = x + self.wpe(torch.arange(ids.shape[1]))
        for i, block in enumerate(self.h):
            x = block(x)
            if record is not None:
                record[f"blocks.{i}"] = x
        x = self.ln_f(x)
        logits = self.lm_head(x)
        if record is not None:
            record["norm"] = x
            record["logits"] = logits
        return logits


def mapping(c):
    """Our path -> (PyTorch's name, whether the matrix is stored transposed: ours are [in, out])."""
    table = {"wte.weight": ("wte.weight", False)}
    if c["positions"] == "learned":
        table["wpe.weight"] = ("wpe.weight", False)

    def add(ours, theirs, linear):
        table[f"{ours}.weight"] = (f"{theirs}.weight", linear)
        if c["bias"]:
            table[f"{ours}.bias"] = (f"{theirs}.bias", False)

    for i in range(c["n_layer"]):
        add(f"blocks.{i}.attn_norm", f"h.{i}.ln_1", False)
        add(f"blocks.{i}.attn.qkv", f"h.{i}.attn.c_attn", True)
        add(f"blocks.{i}.attn.proj", f"h.{i}.attn.c_proj", True)
        add(f"blocks.{i}.mlp_norm", f"h.{i}.ln_2", False)
        if c["glu"]:
            add(f"blocks.{i}.mlp.gate", f"h.{i}.mlp.c_gate", True)
        add(f"blocks.{i}.mlp.up", f"h.{i}.mlp.c_fc", True)
        add(f"blocks.{i}.mlp.down", f"h.{i}.mlp.c_proj", True)
    add("norm", "ln_f", False)
    if not c["tie_embeddings"]:
        table["head"] = ("lm_head.weight", False)
    return table


def draw_weights(model, generator):
    """Larger than a usual initialisation, so that every term of every gradient matters."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator, dtype=torch.float64)
            if p.dim() == 2:
                scale = 0.3 if "wte" in name or "wpe" in name or "lm_head" in name else 1 / math.sqrt(p.shape[1])
                value = noise * scale
            else:
                value = noise * 0.1 + (1.0 if name.endswith("weight") else 0.0)
            p.copy_(value.float().double())


def draw_batch(c, generator):
    shape = (c["rows"], c["length"])
    ids = torch.randint(0, c["vocab_size"], shape, generator=generator)
    targets = torch.randint(0, c["vocab_size"], shape, generator=generator)
    hidden = torch.rand(shape, generator=generator) < 0.15
    return ids, torch.where(hidden, torch.full_like(targets, IGNORED), targets)


def loss_of(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def train(model, batches):
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": ADAMW["weight_decay"]},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=ADAMW["learning_rate"], betas=ADAMW["betas"], eps=ADAMW["eps"])
    losses, norms = [], []
    for step in range(STEPS):
        ids, targets = batches[step % len(batches)]
        optimizer.zero_grad()
        loss = loss_of(model(ids), targets)
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(model.parameters(), ADAMW["grad_clip"]).item())
        optimizer.step()
        losses.append(loss.item())
    return losses, norms


def save_safetensors(path, tensors):
    header, blobs, offset = {}, [], 0
    for name, tensor in tensors.items():
        data = tensor.detach().float().contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, offset + len(data)]}
        blobs.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def make(name, c, directory):
    generator = torch.Generator().manual_seed(20240 + len(name))
    model = Gpt(c).double()
    draw_weights(model, generator)
    batches = [draw_batch(c, generator) for _ in range(BATCHES)]
    table = mapping(c)
    own = dict(model.named_parameters())
    assert sorted(theirs for theirs, _ in table.values()) == sorted(own), "every parameter is mapped once"
    ours = lambda values: {path: (values[t].T if flip else values[t]) for path, (t, flip) in table.items()}
    tensors = {f"param/{path}": value.clone() for path, value in ours(own).items()}

    activations = {}
    ids, targets = batches[0]
    loss = loss_of(model(ids, activations), targets)
    loss.backward()
    tensors |= {f"activation/{key}": value for key, value in activations.items()}
    tensors |= {f"grad/{path}": value for path, value in ours({k: p.grad for k, p in own.items()}).items()}
    save_safetensors(directory / f"{name}.safetensors", tensors)

    losses, norms = train(model, batches)
    document = {
        "doc": f"scripts/parity/make_fixtures.py, torch {torch.__version__}; gradients are of the mean loss of batch 0",
        "config": c,
        "optimizer": ADAMW,
        "mapping": {path: {"torch": theirs, "transposed": flip} for path, (theirs, flip) in table.items()},
        "batches": [{"tokens": i.flatten().tolist(), "targets": t.flatten().tolist()} for i, t in batches],
        "loss": loss.item(),
        "training": {"losses": losses, "grad_norms": norms},
    }
    (directory / f"{name}.json").write_text(json.dumps(document, separators=(",", ":")) + "\n")


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    directory = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root / "tests/fixtures/parity"
    directory.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name, config in VARIANTS.items():
        make(name, config, directory)


if __name__ == "__main__":
    main()
