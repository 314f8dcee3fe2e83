"""From the keys of `data` to the data module."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from data.corpora import MarkovCorpus, StdlibCorpus, TextCorpus
from data.corpus import Corpus
from data.hf_corpus import HubCorpus
from data.settings import Data
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
    data: Data,
    more: Mapping[str, Any] | None = None,
    tokenizer: Tokenizer | None = None,
    **of_run: Any,
) -> "TokenDataModule":
    """The data module of `data` and `more` keys beside it, with length, loader and seed of the run.

    The keys that not all data have are the corpus's. `tokenizer` is the one that `data` names,
    where it is there already. ValueError in one line for what is not known."""
    # Only here: lightning takes seconds to import.
    from data.module import TokenDataModule

    common = {key.name for key in fields(Data)}
    own = {key: value for key, value in vars(data).items() if key not in common}
    corpus = _make_corpus(data.corpus, own | dict(more or {}))
    named = _tokenizer_name(corpus, data.tokenizer_name_or_path)
    return TokenDataModule(data, corpus, tokenizer or make_tokenizer(named), **of_run)


def _make_corpus(corpus: str, arguments: dict[str, Any]) -> Corpus:
    if corpus not in CORPORA:
        raise ValueError(f"data.corpus={corpus!r}: choose from {', '.join(sorted(CORPORA))}")
    allowed = inspect.signature(CORPORA[corpus]).parameters
    for key in arguments:
        if key not in allowed:
            raise ValueError(f"data.{key}: corpus {corpus!r} has no such key; {sorted(allowed)}")
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
