"""A published model by its name: of the Hugging Face Hub, a folder, or a checkpoint file."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data.files import expanded
from hub.cache import hub_folder
from hub.convert import STATES, convert
from hub.folders import TRAINED_SEDD, read_folder, read_sedd_training
from hub.lightning import is_lightning, parts_of, read_lightning
from hub.published import Published
from hub.register import models
from hub.torch_file import read_torch_file
from training.checkpoint import digest

# Algorithms that are the same in evaluation and sampling: the Hub's files do not say which trained.
SAME = frozenset({"udlm", "duo", "duo_distill"})


DISTILLATION_STEPS = 50_000  # of the released model, in five rounds


@dataclass(frozen=True)
class ImportedModel:
    """A published model as a checkpoint of this suite.

    `checkpoint` has the parts that training.checkpoint reads: config (algo, model, noise, data,
    training, loader, seed), state_dict, global_step and, where averaged and raw weights are apart,
    ema. `vocab_size` is N, every state of the process but the mask. `mask` is the id that the mask
    has in the published vocabulary, which changed places with the last one."""

    checkpoint: dict[str, Any]
    vocab_size: int
    mask: int | None
    tokenizer: str | None  # a name or a folder; None where nothing says
    algorithms: frozenset[str]  # the names that are right for it
    averaged: bool  # whether the published evaluation uses averaged weights and these are here
    format: str
    source: str  # the name that it was opened by
    file: Path  # of the weights
    digest: str

    def extra_states(self, tokens: int) -> range:
        """The ids that a tokenizer of so many `tokens`, its mask not among them, has not got.
        ValueError where it does not fit."""
        extra = self.vocab_size - tokens
        if extra < 0 or (extra and STATES[self.checkpoint["config"]["algo"]["name"]].mask):
            raise ValueError(
                f"{self.source}: a model of {self.vocab_size} tokens, the tokenizer has {tokens}"
            )
        return range(tokens, self.vocab_size)


def open_model(
    name: str, key: str = "eval.checkpoint_path", mask: int | None = None
) -> ImportedModel:
    """The model of that name; `mask` is the id of its mask where no file says it and it is not the
    last. ValueError or OSError in one line that begins with `key`."""
    try:
        published = _read(name, key)
        if mask is not None:
            published = replace(published, mask=mask)
        return _imported(name, published)
    except OSError as error:
        raise OSError(f"{key}={name}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{key}={name}: {error}") from error


def _read(name: str, key: str) -> Published:
    path = expanded(name, key)
    if path.is_dir():
        return read_folder(path)
    if not path.is_file():
        if path.exists() or name.startswith((".", "/", "~")):
            raise FileNotFoundError("no such file or folder")
        return _completed(read_folder(hub_folder(name)), name.partition("@")[0])
    if path.parts[-2:] == TRAINED_SEDD.parts:
        return read_sedd_training(path.parent.parent)
    if path.suffix in (".safetensors", ".bin"):
        raise ValueError("weights alone: give the folder, whose config.json says what they are")
    content = read_torch_file(path)
    if not is_lightning(content):
        raise ValueError(
            "not a checkpoint of Lightning (state_dict and hyper_parameters) or of SEDD"
        )
    return read_lightning(path, content)


def _completed(published: Published, repository: str) -> Published:
    """With the register's tokenizer, mask, corpus and algorithm where the files do not say.
    ValueError where they are of another model than the register's."""
    model = models().get(repository)
    if model is None:
        return published
    found = (published.format, published.rows, published.network["length"])
    if found != (model.format, model.rows, model.length):
        raise ValueError(
            f"a {found[0]} of {found[1]} rows and length {found[2]}, where the published model of "
            f"that name is a {model.format} of {model.rows} and {model.length}"
        )
    algo = published.algo
    if algo["name"] != model.algorithm:  # the files of a distilled model are those of its teacher
        algo = {"name": model.algorithm, "max_steps": DISTILLATION_STEPS}
    return replace(
        published,
        algo=algo,
        parts=parts_of(model.algorithm),
        tokenizer=published.tokenizer or model.tokenizer,
        mask=model.mask if published.mask is None else published.mask,
        corpus=published.corpus or model.corpus,
    )


def _imported(name: str, published: Published) -> ImportedModel:
    weights, averaged, vocab_size = convert(published)
    mask = published.mask
    if mask is None and STATES[published.algo["name"]].mask:
        mask = vocab_size
    state = {f"backbone.{key}": tensor for key, tensor in weights.items()}
    checkpoint = {
        "config": _config(published),
        "state_dict": state,
        "global_step": published.steps,
        **published.parts,
    }
    if averaged is not None:
        average = {f"backbone.{key}": tensor for key, tensor in averaged.items()}
        checkpoint["ema"] = {"weights": average, "updates": published.steps}
    algorithm = published.algo["name"]
    return ImportedModel(
        checkpoint=checkpoint,
        vocab_size=vocab_size,
        mask=mask,
        tokenizer=published.tokenizer,
        algorithms=SAME if algorithm in SAME else frozenset({algorithm}),
        averaged=averaged is not None or published.are_averaged,
        format=published.format,
        source=name,
        file=published.files[-1],
        digest=_digest(published.files),
    )


def _config(published: Published) -> dict[str, Any]:
    return {
        "seed": 1,
        "algo": published.algo,
        "model": {
            "name": "published",
            **published.network,
            "dropout": 0.0,
            "attention": "sdpa",
            "activation_checkpointing": False,
            "compile": False,
        },
        "noise": published.noise,
        "data": {
            "name": published.corpus,
            "tokenizer_name_or_path": published.tokenizer,
        },
        "loader": {"global_batch_size": published.global_batch_size},
        "training": {"sampling_eps": None, "antithetic_sampling": True},
    }


def _digest(files: list[Path]) -> str:
    """sha256 of the file, or of the digests of several."""
    digests = [digest(file) for file in files]
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )
