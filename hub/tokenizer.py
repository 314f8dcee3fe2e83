"""The tokenizer of a model: of an imported one, and of a run by its checkpoint."""

import logging
from typing import Any

from data.extended import with_states
from data.tokenizers import Tokenizer, make_tokenizer
from hub.imported_model import ImportedModel, ids
from hub.open import open_model
from training.checkpoint import DIGESTS, vocab_size_of

log = logging.getLogger(__name__)


# Where a user names another tokenizer of the model that this key names; a scorer has none.
TOKENIZER_KEYS = {
    "eval.checkpoint_path": "data.tokenizer_name_or_path",
    "training.finetune_path": "data.tokenizer_name_or_path",
    "name": "tokenizer",
}


def with_tokenizer(
    model: ImportedModel, name: str, key: str, tokenizer: str | None = None
) -> tuple[ImportedModel, Tokenizer]:
    """The model, opened by `name`, with the mask that its tokenizer tells, and the tokenizer that
    is given or that its files or the register name. ValueError or OSError in one line that begins
    with `key`; also where they do not fit."""
    named, own = tokenizer or model.tokenizer, TOKENIZER_KEYS.get(key)
    if named is None:
        remedy = f"; {own}=NAME does" if own else ""
        raise ValueError(f"{key}={name}: nothing says its tokenizer{remedy}")
    made = make_tokenizer(named)
    try:
        model.extra_states(made.vocab_size)
        if made.mask is not None and not model.mask_is_stated:
            model = open_model(name, key, mask=made.mask)
        return model, fitted(model, made)
    except ValueError as error:
        told = str(error).removeprefix(f"{key}=")
        culprit = f"{own}={named}" if own else f"its tokenizer {named}"
        raise ValueError(f"{key}={told}; {culprit} does not fit") from error


def of_run(tokenizer: Tokenizer, checkpoint: dict[str, Any], run: object, key: str) -> Tokenizer:
    """The tokenizer with ids for all states of the network of the `run` in a checkpoint. ValueError
    that begins with `key` where it is not the one of its training, or has more tokens."""
    stored, states = checkpoint.get(DIGESTS), vocab_size_of(checkpoint)
    if stored and stored["tokenizer"] != tokenizer.digest:
        raise ValueError(
            f"{key}={tokenizer.name}: not the tokenizer that the run {run} was trained with: the "
            f"content differs"
        )
    if states < tokenizer.vocab_size:
        raise ValueError(
            f"{key}={tokenizer.name}: has {tokenizer.vocab_size} tokens, the run {run} {states}"
        )
    return with_states(tokenizer, states)


def fitted(model: ImportedModel, tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer with ids for every state of the model. ValueError where another of its ids is
    the mask, or it has not got all tokens of a masked model."""
    extra = model.extra_states(tokenizer.vocab_size)
    last = model.vocab_size - (not model.has_mask)
    if model.mask not in (None, last if tokenizer.mask is None else tokenizer.mask):
        own = "none" if tokenizer.mask is None else f"the id {tokenizer.mask}"
        raise ValueError(
            f"{model.source}: its mask is the id {model.mask}, that of the tokenizer {own}"
        )
    if extra:
        log.warning(
            "%s: no token of %s for %s of its %d states",
            model.source,
            tokenizer.name,
            ids(extra),
            model.vocab_size,
        )
    return with_states(tokenizer, model.vocab_size)
