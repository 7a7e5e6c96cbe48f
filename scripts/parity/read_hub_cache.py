"""Fetches files with huggingface_hub, for scripts/parity/compare_hub_cache.ts. Arguments: kind, repository and file, three by three."""

import sys

from huggingface_hub import hf_hub_download

arguments = sys.argv[1:]
for kind, repo, file in zip(arguments[::3], arguments[1::3], arguments[2::3]):
    hf_hub_download(repo, file, repo_type=kind)
