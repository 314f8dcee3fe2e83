"""From the keys of `data` to the data module."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from data.corpora import MarkovCorpus, StdlibCorpus, TextCorpus
from data.corpus import Corpus
from data.hf_corpus import HubCorpus
from data.shakespeare import ShakespeareCorpus
from data.tokenizers import Tokenizer, make_tokenizer

if TYPE_CHECKING:
    from data.module import TokenDataModule

CORPORA: dict[str, Callable[..., Corpus]] = {
    "stdlib": StdlibCorpus,
    "shakespeare": ShakespeareCorpus,
    "text": TextCorpus,
    "hub": HubCorpus,
    "markov": MarkovCorpus,
}


def build_data(
    name: str,
    tokenizer_name_or_path: str | None,
    corpus: str | None = None,
    tokenizer: Tokenizer | None = None,
    **arguments: Any,
) -> "TokenDataModule":
    """The data module of a configs/data file: its keys, and length, loader and seed of the run.

    `corpus` is a name of CORPORA, by default `name` itself. The arguments that TokenDataModule
    does not take are the corpus's. `tokenizer` is the one of that name, where it is there already.
    ValueError in one line for what is not known or missing."""
    # Only here: lightning takes seconds to import.
    from data.module import TokenDataModule

    taken = inspect.signature(TokenDataModule).parameters
    module_arguments = {key: value for key, value in arguments.items() if key in taken}
    corpus_arguments = {key: value for key, value in arguments.items() if key not in taken}
    source = _make_corpus(name if corpus is None else corpus, corpus_arguments)
    named = _tokenizer_name(source, tokenizer_name_or_path)
    tokenizer = tokenizer or make_tokenizer(named)
    return TokenDataModule(name=name, corpus=source, tokenizer=tokenizer, **module_arguments)


def _make_corpus(corpus: str, arguments: dict[str, Any]) -> Corpus:
    if corpus not in CORPORA:
        raise ValueError(f"data.corpus={corpus!r}: choose from {', '.join(sorted(CORPORA))}")
    allowed = inspect.signature(CORPORA[corpus]).parameters
    for key in arguments:
        if key not in allowed:
            raise ValueError(f"data.{key}: corpus {corpus!r} has no such key; {sorted(allowed)}")
    for key in allowed:
        if key not in arguments:
            raise ValueError(f"data.{key} is missing: corpus {corpus!r} needs {sorted(allowed)}")
    return CORPORA[corpus](**arguments)


def _tokenizer_name(corpus: Corpus, name: str | None) -> str:
    """A language of symbols fixes its tokenizer, every other corpus needs one named."""
    if corpus.language is None:
        if name is None:
            raise ValueError("data.tokenizer_name_or_path=null: name a tokenizer")
        return name
    symbols = f"symbols:{corpus.language.states}"
    if name not in (None, symbols):
        raise ValueError(
            f"data.tokenizer_name_or_path={name!r}: the Markov language of "
            f"data.states={corpus.language.states} needs {symbols!r} or null"
        )
    return symbols
