"""Compares theseus with transformers (and peft, where the folder is an adapter's) on a folder that theseus wrote.

Usage:  bun scripts/parity/folder_logits.ts FOLDER logits.json && python scripts/parity/check_folder.py FOLDER logits.json
Prints the largest difference of the logits and fails where it is 1e-4 or more.
"""

import json
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM


def load(folder):
    if not (folder / "adapter_config.json").exists():
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    from peft import AutoPeftModelForCausalLM

    return AutoPeftModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


folder = pathlib.Path(sys.argv[1])
ours = json.loads(pathlib.Path(sys.argv[2]).read_text())
with torch.no_grad():
    theirs = load(folder).eval()(torch.tensor([ours["tokens"]])).logits[0]
difference = (theirs - torch.tensor(ours["logits"]).reshape(theirs.shape)).abs().max().item()
print(f"{folder.name}: largest difference {difference:.2e}, standard deviation {theirs.std().item():.2f}")
sys.exit(0 if difference < 1e-4 else 1)
