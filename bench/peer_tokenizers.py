"""The peers of bench/tokenizer.ts: reads requests as lines of JSON, encodes the documents once on one core, answers with the seconds it took.

A request is {"peer": "tiktoken" | "hugging_face", "tokenizer": name, "json": path of a tokenizer.json, "documents": path of a JSON list of texts}.
"""

import array
import hashlib
import json
import os
import sys
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import tiktoken  # noqa: E402
import tiktoken.load  # noqa: E402
import tiktoken_ext.openai_public as public  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

RANKS = Path(__file__).parent.parent / "node_modules/gpt-tokenizer/data"
OPENED = {}
DOCUMENTS = {}


def encoding(name):
    read = tiktoken.load.read_file
    tiktoken.load.read_file_cached = lambda url, expected: read(str(RANKS / Path(url).name))
    return tiktoken.Encoding(**getattr(public, "r50k_base" if name == "gpt2" else name)())


def opened(request):
    key = (request["peer"], request["tokenizer"])
    if key not in OPENED:
        is_tiktoken = request["peer"] == "tiktoken"
        OPENED[key] = encoding(request["tokenizer"]) if is_tiktoken else Tokenizer.from_file(request["json"])
    return OPENED[key]


def run(request):
    path = request["documents"]
    if path not in DOCUMENTS:
        DOCUMENTS[path] = json.loads(Path(path).read_text())
    documents = DOCUMENTS[path]
    tokenizer = opened(request)
    digest = hashlib.sha256()
    seconds = 0.0
    count = 0
    # In parts, for an Encoding of Hugging Face's takes a hundred bytes a token.
    for first in range(0, len(documents), 100):
        part = documents[first : first + 100]
        began = time.perf_counter()
        if request["peer"] == "tiktoken":
            ids = [tokenizer.encode_ordinary(text) for text in part]
        else:
            tokenizer.encode_special_tokens = True
            ids = [e.ids for e in tokenizer.encode_batch_fast(part, add_special_tokens=False)]
        seconds += time.perf_counter() - began
        for each in ids:
            digest.update(array.array("I", [len(each), *each]).tobytes())
            count += len(each)
    return {"seconds": seconds, "tokens": count, "sha256": digest.hexdigest()}


for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)
