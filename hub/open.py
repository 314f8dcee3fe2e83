"""A published model by its name: of the Hugging Face Hub, a folder, or a checkpoint file."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from algos.facts import facts_of
from data.files import expanded
from hub.cache import hub_folder
from hub.convert import convert
from hub.exported import FORMAT
from hub.folders import TRAINED_SEDD, read_folder, read_sedd_training
from hub.imported_model import ImportedModel
from hub.lightning import is_lightning, read_lightning
from hub.published import Published
from hub.register import models
from hub.sources import check_source, is_hub_name, is_published_folder
from hub.torch_file import read_torch_file, top_keys
from storage import file_digest
from training.checkpoint import vocab_size_of

# Algorithms that are the same in evaluation and sampling: the Hub's files do not say which trained.
SAME = frozenset({"udlm", "duo", "duo_distill"})
DISTILLATION_STEPS = 50_000  # of the released model, in five rounds


def is_published(name: str, key: str) -> bool:
    """Whether it is no run of this suite: a file or folder of another program, or a name of the
    Hub. FileNotFoundError where there is nothing of that name."""
    check_source(name, key)
    path = Path(name).expanduser()
    if path.is_dir():
        return is_published_folder(path)
    if is_hub_name(name) or path.suffix == ".safetensors":
        return True
    keys = top_keys(path)  # what is damaged is left to the reader of runs
    return keys is not None and not {"state_dict", "config"} <= keys


def open_model(
    name: str, key: str = "eval.checkpoint_path", mask: int | None = None
) -> ImportedModel:
    """The model of that name; `mask` is the id of its mask where no file says it and it is not the
    last. ValueError or OSError in one line that begins with `key`."""
    try:
        path = expanded(name, key)
        of_hub = not path.exists() and not name.startswith((".", "/", "~"))
        path = hub_folder(name) if of_hub else path
        published = _read(path)
        if of_hub:
            published = _completed(published, name.partition("@")[0])
        if mask is not None and published.mask is None:
            published = replace(published, mask=mask)
        return _imported(name, published)
    except OSError as error:
        raise OSError(f"{key}={name}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{key}={name}: {error}") from error


def _read(path: Path) -> Published:
    if path.is_dir():
        return read_folder(path)
    if not path.is_file():
        raise FileNotFoundError("no such file or folder")
    if path.parts[-2:] == TRAINED_SEDD.parts:
        return read_sedd_training(path.parent.parent)
    if path.suffix in (".safetensors", ".bin"):
        raise ValueError("weights alone: give the folder, whose config.json says what they are")
    content = read_torch_file(path)
    if not is_lightning(content):
        raise ValueError(
            "of another program, not a checkpoint of Lightning (state_dict and hyper_parameters) "
            "or of SEDD"
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
        tokenizer=published.tokenizer or model.tokenizer,
        mask=model.mask if published.mask is None else published.mask,
        corpus=published.corpus or model.corpus,
    )


def _imported(name: str, published: Published) -> ImportedModel:
    is_export = published.format == FORMAT
    # An export has the names and rows of the algorithm already.
    weights, averaged = (published.weights, None) if is_export else convert(published)
    vocab_size, mask = vocab_size_of({"state_dict": weights}), published.mask
    algorithm, steps = published.algo["name"], published.steps or 0
    if mask is None and not facts_of(algorithm).uniform:
        mask = vocab_size
    checkpoint = {
        "config": _config(published),
        "state_dict": weights,
        "global_step": steps,
    }
    if algorithm == "duo_distill":  # its training is over: there is no teacher
        checkpoint["distillation"] = {"round": -1, "teacher": {}}
    if averaged is not None:
        checkpoint["ema"] = {"weights": averaged, "updates": steps}
    registered = None if is_export else models().get(name.partition("@")[0])
    return ImportedModel(
        checkpoint=checkpoint,
        vocab_size=vocab_size,
        mask=mask,
        mask_is_stated=published.mask is not None,
        tokenizer=published.tokenizer,
        algorithms=SAME if algorithm in SAME else frozenset({algorithm}),
        averaged=averaged is not None or published.are_averaged,
        format=published.format,
        source=name,
        revision=_revision(published.files[-1]),
        published=registered.published if registered else None,
        steps=published.steps,
        tokens=_tokens(published),
        file=published.files[-1],
        digest=_digest(published.files),
    )


def _config(published: Published) -> dict[str, Any]:
    return {
        "seed": 1,
        "algo": published.algo,
        "model": {
            "name": published.name,
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
            "framing": published.framing,
        },
        "loader": {"global_batch_size": published.global_batch_size or 1},
        "training": {"sampling_eps": None, "antithetic_sampling": True},
    }


def _tokens(published: Published) -> int | None:
    """Of all blocks that the model was trained on; None where nothing says."""
    if published.steps is None or published.global_batch_size is None:
        return published.tokens
    return published.steps * published.global_batch_size * published.network["length"]


def _revision(file: Path) -> str | None:
    """The commit that a file of the Hub's cache is of."""
    folder = file.parent
    return folder.name if folder.parent.name == "snapshots" else None


def _digest(files: list[Path]) -> str:
    """sha256 of the file, or of the digests of several."""
    first, *more = digests = [file_digest(file) for file in files]
    return hashlib.sha256("".join(digests).encode()).hexdigest() if more else first
