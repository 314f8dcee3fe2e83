"""Tokenizers, corpora, packing to memory-mapped tokens, and resumable loaders."""

import inspect
from typing import TYPE_CHECKING, Any

from data.corpora import MarkovCorpus, StdlibCorpus, TextCorpus
from data.hub import HubCorpus
from data.tokenizers import make_tokenizer

if TYPE_CHECKING:
    from data.module import TokenDataModule

CORPORA: dict[str, type] = {
    "stdlib": StdlibCorpus,
    "text": TextCorpus,
    "hub": HubCorpus,
    "markov": MarkovCorpus,
}


def build_data(
    name: str,
    tokenizer_name_or_path: str | None,
    corpus: str | None = None,
    *,
    length: int,
    packing: str,
    framing: str,
    insert_eos: bool,
    drop_last: bool,
    crop: str,
    cache_dir: str,
    num_proc: int,
    max_eval_blocks: int | None,
    global_batch_size: int,
    batch_size: int,
    eval_batch_size: int,
    num_workers: int,
    seed: int,
    **corpus_arguments: Any,
) -> "TokenDataModule":
    """The data module of a configs/data file: its keys, and length, loader and seed of the run.

    `corpus` is a name of CORPORA, by default `name` itself. ValueError in one line for a name or
    key that is not known, with those that are.
    """
    # Only here: lightning takes seconds to import.
    from data.module import TokenDataModule

    corpus = name if corpus is None else corpus
    if corpus not in CORPORA:
        raise ValueError(f"data.corpus={corpus!r}: choose from {sorted(CORPORA)}")
    allowed = inspect.signature(CORPORA[corpus]).parameters
    for key in corpus_arguments:
        if key not in allowed:
            raise ValueError(f"data.{key}: corpus {corpus!r} has no such key; {sorted(allowed)}")
    for key in allowed:
        if key not in corpus_arguments:
            raise ValueError(f"data.{key} is missing: corpus {corpus!r} needs {sorted(allowed)}")
    source = CORPORA[corpus](**corpus_arguments)
    if source.language is not None:
        symbols = f"symbols:{source.language.states}"
        if tokenizer_name_or_path not in (None, symbols):
            raise ValueError(
                f"data.tokenizer_name_or_path={tokenizer_name_or_path!r}: the Markov language of "
                f"data.states={source.language.states} needs {symbols!r} or null"
            )
        tokenizer_name_or_path = symbols
    if tokenizer_name_or_path is None:
        raise ValueError("data.tokenizer_name_or_path=null: name a tokenizer")
    return TokenDataModule(
        name=name,
        corpus=source,
        tokenizer=make_tokenizer(tokenizer_name_or_path),
        length=length,
        packing=packing,
        framing=framing,
        insert_eos=insert_eos,
        drop_last=drop_last,
        crop=crop,
        cache_dir=cache_dir,
        num_proc=num_proc,
        global_batch_size=global_batch_size,
        batch_size=batch_size,
        eval_batch_size=eval_batch_size,
        num_workers=num_workers,
        seed=seed,
        max_eval_blocks=max_eval_blocks,
    )
