"""Tokens per second of our build beside the tokenizer library itself, and loader time per batch.

python benchmarks/tokenize_and_load.py --tokenizer FOLDER --text FILE_OR_FOLDER [--num-proc 8]"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tokenizers import Tokenizer as Backend
from transformers import AutoTokenizer

from benchmarks.measure import timed
from data.build import build_or_open
from data.corpora import TextCorpus
from data.formats import whole
from data.loaders import Loader
from data.order import StepSampler, TrainOrder
from data.packing import Framer, View, WrapBlocks
from data.store import TokenStore
from data.tokenizers import Tokenizer, make_tokenizer


def fastest(runs: int, work: Callable[[], object]) -> float:
    """Seconds of the quickest of several runs: the machine may have other work."""
    return min(timed(work) for _ in range(runs))


def load_times(store: TokenStore, tokenizer: Tokenizer, args: argparse.Namespace) -> float:
    """Seconds per training batch with no worker process."""
    blocks = WrapBlocks(store, Framer(args.length, "bos", tokenizer), drop_last=False)
    sampler = StepSampler(0, args.batch_size, args.batch_size, world_size=1, rank=0)
    batches = iter(Loader(View(blocks, TrainOrder(len(blocks), 0)), sampler, 0))
    next(batches)
    return fastest(5, lambda: [next(batches) for _ in range(200)]) / 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", required=True, help="a tokenizer folder or Hub name")
    parser.add_argument("--text", required=True, help="a file or folder of txt, jsonl or parquet")
    parser.add_argument("--text-key", default="text")
    parser.add_argument("--num-proc", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--batch-size", type=int, default=64)
    args = parser.parse_args()

    tokenizer = make_tokenizer(args.tokenizer)
    corpus = TextCorpus(args.text, args.text, args.text_key, "tail", 0.1)
    documents = [whole(document) for document in corpus.documents("train")]
    backend: Backend = AutoTokenizer.from_pretrained(args.tokenizer).backend_tokenizer
    library = fastest(args.runs, lambda: backend.encode_batch(documents, add_special_tokens=False))

    def build() -> TokenStore:
        with tempfile.TemporaryDirectory() as folder:
            return build_or_open(Path(folder), corpus, "train", tokenizer, True, args.num_proc)

    ours = fastest(args.runs, build)
    with tempfile.TemporaryDirectory() as folder:
        store = build_or_open(Path(folder), corpus, "train", tokenizer, True, args.num_proc)
        batch = load_times(store, tokenizer, args)
    tokens = store.meta["text_tokens"]
    print(f"tokens               {tokens}")
    print(f"library, all cores   {tokens / library:.0f} tokens/s")
    print(f"our build            {tokens / ours:.0f} tokens/s")
    print(f"ratio                {library / ours:.2f}")
    print(f"loader               {batch * 1e6:.0f} us per {args.batch_size} x {args.length} batch")


if __name__ == "__main__":
    main()
