"""A trained model with its weights and tokenizer, of this suite or published, for use without a
command."""

from pathlib import Path
from typing import Any, NamedTuple

from algos.base import Algorithm
from algos.build import make_algorithm
from algos.settings import read_algo
from backbones.settings import Model
from data.tokenizers import Tokenizer, make_tokenizer
from diffusion.settings import NOISES, LogLinear
from hub.open import is_published, open_model
from hub.tokenizer import of_run, with_tokenizer
from schema.check import read_node, read_stored
from schema.fields import Limits
from training.checkpoint import read_checkpoint, restored

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
        model, own = with_tokenizer(open_model(name, KEY), name, KEY, tokenizer)
        checkpoint = model.checkpoint
        if "ema" not in checkpoint:
            if model.averaged and not averaged:
                raise ValueError(f"{KEY}={name}: it has averaged weights alone")
            averaged = model.averaged
    else:
        checkpoint = read_checkpoint(Path(name).expanduser(), KEY)
        data, averaged = checkpoint["config"]["data"], averaged and "ema" in checkpoint
        named = tokenizer or data["tokenizer_name_or_path"] or f"symbols:{data['states']}"
        own = of_run(make_tokenizer(named), checkpoint, name, "tokenizer")
    algorithm = algorithm_of(checkpoint["config"], own.vocab_size)
    try:
        return Trained(restored(algorithm, checkpoint, averaged), own, checkpoint, averaged)
    except ValueError as error:
        raise ValueError(f"{KEY}={name}: {error}") from error


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
