"""A trained run, rebuilt from its checkpoint for evaluation, and its provenance in a record."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from algos.base import Algorithm
from algos.facts import canonical
from data.module import TokenDataModule
from data.tokenizers import Tokenizer, make_tokenizer
from hub.imported_model import ImportedModel
from hub.open import is_published, open_model
from hub.tokenizer import of_run
from modes import build, imported
from modes.checks.keys import key_of, keys_of
from modes.run_settings import merged, tokenizer_name
from modes.settings import Compose, Plain, Settings
from storage import file_digest
from training.checkpoint import (
    BEST,
    DIGESTS,
    LAST,
    checkpoint_file,
    read_checkpoint,
    restored,
    vocab_size_of,
)

TOKENIZER = "data.tokenizer_name_or_path"
SAME_TEXT = (  # keys of data that leave the text as it is
    *("data.name", "data.cache_dir", "data.num_proc", "data.verify", "data.max_eval_blocks"),
    *("data.packing", "data.framing", "data.drop_last", "data.crop", "data.insert_eos", TOKENIZER),
)


class TrainedRun(NamedTuple):
    """A checkpoint with the settings to evaluate it: those that made the run, else the user's."""

    checkpoint: dict[str, Any]
    file: Path
    digest: str  # of the file as it was read: a run that goes on replaces it
    settings: Settings
    vocab_size: int  # N, all states of the network but the mask
    own_text: bool = False  # whether it is evaluated on the text that its configuration names
    model: ImportedModel | None = None  # a published one, no run of this suite
    tokenizer: Tokenizer | None = None  # of a published model

    @property
    def stored(self) -> Plain:
        """The configuration of its training."""
        config: Plain = self.checkpoint["config"]
        return config


def open_run(
    settings: Settings,
    overrides: list[str],
    key: str = "eval.checkpoint_path",
    compose: Compose | None = None,
) -> TrainedRun:
    """The run or published model at eval.checkpoint_path, whose setting is called `key` in
    messages; `compose` gives the text of a model's training. ValueError for an algo or model on the
    command line that is not the run's."""
    name = settings.eval.checkpoint_path
    assert name is not None  # the modes that need one have been refused without
    if is_published(name, key):
        return _open_import(name, settings, overrides, key, compose)
    path = Path(name)
    checkpoint, file = read_checkpoint(path, key), checkpoint_file(path)
    mark = file_digest(file)
    stored, given = checkpoint["config"], keys_of(overrides)
    for group in ("algo", "model"):
        has = stored[group]["name"]
        _check_given(settings, overrides, group, {has}, f"the run at {path} has {group}={has}")
    own_text = not any(key.split(".")[0] == "data" and key not in SAME_TEXT for key in given)
    try:
        vocab_size = vocab_size_of(checkpoint)
    except ValueError as error:
        raise ValueError(f"{key}={file}: {error}") from error
    return TrainedRun(checkpoint, file, mark, merged(settings, stored, given), vocab_size, own_text)


def _open_import(
    name: str, settings: Settings, overrides: list[str], key: str, compose: Compose | None
) -> TrainedRun:
    given = keys_of(overrides)
    tokenizer = settings.data.tokenizer_name_or_path if TOKENIZER in given else None
    opened = open_model(name, key)
    has = f"{key}={name} has algo={' or '.join(sorted(opened.algorithms))}"
    _check_given(settings, overrides, "algo", opened.algorithms, has)
    imported.check_given(opened, settings, given, key)
    model, config, made = imported.with_config(opened, name, key, tokenizer, overrides, compose)
    checkpoint = model.checkpoint | {"config": config | {"seed": settings.seed}}
    own = merged(settings, config, given)
    return TrainedRun(
        checkpoint, model.file, model.digest, own, model.vocab_size, model=model, tokenizer=made
    )


def _check_given(
    settings: Settings, overrides: list[str], group: str, right: Collection[str], has: str
) -> None:
    """ValueError for an algo or model of another name than one of those that are right."""
    names = {canonical(name) for name in right}
    given = [text for text in overrides if key_of(text) in (group, f"{group}.name")]
    if given and canonical(getattr(settings, group).name) not in names:
        raise ValueError(f"{given[-1]}: {has}")


def run_directory(file: Path) -> Path | None:
    """The run directory that a checkpoint file is a part of; None for one that lies alone."""
    run = file.parent.parent
    known = file.name in (LAST, BEST) or (run / "config.json").is_file()
    return run if file.parent.name == "checkpoints" and known else None


def output_directory(run: TrainedRun) -> Path:
    """The folder of samples and answers: eval.output_dir, the run directory, a folder beside a
    checkpoint that lies alone, of its name, or in results_dir that of a published model."""
    directory = run.settings.eval.output_dir
    if directory is not None:
        return Path(directory)
    if run.model is not None:  # the Hub's cache, or files of another program
        return run.settings.results / folder_of(run.model.source)
    return run_directory(run.file) or run.file.with_name(f"{run.file.stem}-output")


def folder_of(source: str) -> str:
    """The end of a published model's name or path as the name of a folder."""
    return "--".join(part for part in Path(source).parts[-2:] if part not in ("/", ".", "..", "~"))


@contextmanager
def writing(folder: Path, what: str) -> Iterator[None]:
    """OSError names the key of the `folder` of samples and answers where they cannot be written."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"eval.output_dir={folder}: cannot write the {what}: {error.strerror}"
        ) from error


def data_digests(data: TokenDataModule) -> dict[str, Any]:
    """The digests of the data of a run: each split of its corpus, and the tokenizer."""
    return {"corpus": dict(data.corpus_digests), "tokenizer": data.tokenizer.digest}


def differing_data(stored: dict[str, Any], data: TokenDataModule) -> str | None:
    """The first of tokenizer and splits whose content is not that of a run, in words, or None."""
    if stored["tokenizer"] != data.tokenizer.digest:
        return f"tokenizer than {data.tokenizer.name}"
    for split, content in data.corpus_digests.items():
        if stored["corpus"].get(split) != content:
            return f"{split} text than data={data.name}"
    return None


def open_tokenizer(run: TrainedRun) -> Tokenizer:
    """The run's tokenizer, with ids for all states of its network; ValueError where the one of its
    name has another content by now."""
    if run.tokenizer is not None:
        return run.tokenizer
    tokenizer = make_tokenizer(tokenizer_name(run.settings.data))
    return of_run(tokenizer, run.checkpoint, run.file, TOKENIZER)


def open_data(run: TrainedRun, stride: int | None = None) -> TokenDataModule:
    """The text to evaluate on, by `stride`, under the run's tokenizer; ValueError where either has
    the run's name for it, and another content. Each rank takes its share of the blocks itself."""
    if run.model is not None and not run.settings.data.corpus:
        raise ValueError(
            f"eval.checkpoint_path={run.model.source}: nothing says on which text; data=NAME does"
        )
    tokenizer = open_tokenizer(run)
    try:
        data = build.data(run.settings, devices=1, tokenizer=tokenizer, stride=stride)
        text = data.corpus.digest("valid") if run.own_text else None
    except FileNotFoundError as error:
        if not run.own_text:
            raise
        raise FileNotFoundError(
            f"{error}; it is the text of the run {run.file}: if that moved, give data.path"
        ) from error
    stored = run.checkpoint.get(DIGESTS)
    if text is not None and stored and text != stored["corpus"].get("valid"):
        raise ValueError(
            f"data={data.name}: not the text that the run {run.file} was validated on, though "
            f"its configuration names it: the content differs; data=... or data.path=... evaluates "
            f"on another text"
        )
    return data


def averaged(run: TrainedRun) -> bool:
    """Whether averaged weights are evaluated: where the run has them, unless eval.disable_ema."""
    if run.model is not None and "ema" not in run.checkpoint:
        return run.model.averaged
    return "ema" in run.checkpoint and not run.settings.eval.disable_ema


def restore(run: TrainedRun) -> Algorithm:
    """The algorithm with the checkpoint's weights: averaged ones unless eval.disable_ema."""
    algorithm = build.new_algorithm(run.settings, run.vocab_size)
    try:
        return restored(algorithm, run.checkpoint, averaged(run))
    except ValueError as error:
        raise ValueError(f"eval.checkpoint_path={run.file}: {error}") from error
