"""A trained model with its weights and tokenizer, of this suite or published, for use without a
command."""

from pathlib import Path
from typing import Any, NamedTuple

from algos.base import Algorithm
from algos.build import make_algorithm
from algos.settings import read_algo
from backbones.settings import Model
from data.extended import with_states
from data.tokenizers import Tokenizer, make_tokenizer
from diffusion.settings import NOISES, LogLinear
from hub.open import is_published, open_model
from hub.tokenizer import with_tokenizer
from schema.check import read_node, read_stored
from schema.fields import Limits
from training.checkpoint import DIGESTS, read_checkpoint, restored, vocab_size_of

KEY = "name"
NOISE = Limits("", nodes=NOISES, by="name", unnamed=LogLinear)


class Trained(NamedTuple):
    algorithm: Algorithm
    tokenizer: Tokenizer
    checkpoint: dict[str, Any]
    averaged: bool  # whether its weights are averages


def open_trained(name: str, tokenizer: str | None = None, averaged: bool = True) -> Trained:
    """A run directory, checkpoint, published file or folder, or name of the Hub, with its averaged
    weights where it has them; `tokenizer` is another name of its tokenizer. ValueError or OSError
    in one line."""
    if is_published(name, KEY):
        model, fitted = with_tokenizer(open_model(name, KEY), name, KEY, tokenizer)
        if not averaged and model.averaged and "ema" not in model.checkpoint:
            raise ValueError(f"{KEY}={name}: it has averaged weights alone")
        apart = "ema" in model.checkpoint
        are = averaged if apart else model.averaged
        return _restored(name, model.checkpoint, model.vocab_size, fitted, are)
    checkpoint = read_checkpoint(Path(name).expanduser(), KEY)
    data, digests = checkpoint["config"]["data"], checkpoint.get(DIGESTS)
    made = make_tokenizer(
        tokenizer or data["tokenizer_name_or_path"] or f"symbols:{data['states']}"
    )
    if digests and digests["tokenizer"] != made.digest:
        raise ValueError(
            f"tokenizer={made.name}: not the one that {name} was trained with: the content differs"
        )
    states = vocab_size_of(checkpoint)
    if states < made.vocab_size:
        raise ValueError(f"tokenizer={made.name}: has {made.vocab_size} tokens, {name} {states}")
    averaged = averaged and "ema" in checkpoint
    return _restored(name, checkpoint, states, with_states(made, states), averaged)


def algorithm_of(config: dict[str, Any], vocab_size: int) -> Algorithm:
    """The algorithm with a new network that the configuration of a checkpoint describes."""
    training = config["training"]
    return make_algorithm(
        read_algo(config["algo"]),
        read_stored(Model, config["model"]),
        read_node(NOISE, config["noise"], "noise"),
        vocab_size,
        seed=config["seed"],
        global_batch_size=config["loader"]["global_batch_size"],
        sampling_eps=training["sampling_eps"],
        antithetic_sampling=training["antithetic_sampling"],
    )


def _restored(
    name: str, checkpoint: dict[str, Any], states: int, tokenizer: Tokenizer, averaged: bool
) -> Trained:
    algorithm = algorithm_of(checkpoint["config"], states)
    try:
        weighted = restored(algorithm, checkpoint, averaged)
        return Trained(weighted, tokenizer, checkpoint, averaged)
    except ValueError as error:
        raise ValueError(f"{KEY}={name}: {error}") from error
