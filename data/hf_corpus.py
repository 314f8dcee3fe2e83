"""Corpora of the Hugging Face Hub, or local folders laid out like them."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from data.corpus import Corpus
from data.detokenize import DETOKENIZERS
from data.files import digest_of, expanded
from data.formats import holds_text
from data.hub_access import hub_or_cache
from data.settings import Hub
from data.tokenizer_files import first_line
from schema.check import check_values

SHOWN = 200  # characters of what the library says
_SAVED = ("state.json", "dataset_dict.json")  # in a folder that the method save_to_disk wrote
_DATA_SUFFIXES = {".parquet", ".jsonl", ".json", ".txt", ".csv", ".arrow", ".gz", ".xz", ".zst"}


class HubCorpus(Corpus):
    """A dataset repository; splits are expressions such as "train[:-100000]". `files` maps a split
    of the repository to a pattern of its files, for repositories that do not name them (the Hub's
    converted parquet revisions) and to fetch one split alone."""

    def __init__(
        self,
        path: str | None,
        config: str | None,
        revision: str | None,
        files: Mapping[str, str] | None,
        train_split: str | None,
        valid_split: str,
        text_key: str,
        detokenizer: str | None,
    ) -> None:
        if path is None:
            raise ValueError("data.path=null: name a dataset of the Hub (USER/NAME) or a folder")
        check_values(Hub, "data", detokenizer=detokenizer)
        self.path, self.config, self.revision = path, config, revision
        self.files = dict(files or {})
        self.expressions = {"train": train_split, "valid": valid_split}
        self.text_key, self.detokenizer = text_key, detokenizer
        self.splits = ("valid",) if train_split is None else ("train", "valid")
        # Published corpora name one of the two, and are split as they were published.
        self.is_held_out_apart = revision is None and config is None
        self._loaded: dict[str, Any] = {}

    def _expression(self, split: str) -> str:
        expression = self.expressions[split]
        if expression is None:
            raise ValueError(f"data.{split}_split=null: {self.path!r} has no {split} split")
        return expression

    def _folder(self) -> Path | None:
        """The local folder, None for a Hub name; OSError for a path that is not there."""
        folder = expanded(self.path, "data.path")
        if folder.is_dir():
            return folder
        if folder.exists() or self.path.startswith((".", "/", "~")):
            raise FileNotFoundError(f"data.path={self.path!r}: no such folder")
        return None

    def _source(self, base: str) -> dict[str, Any]:
        """The arguments of `load_dataset` that find the files of the repository's split `base`."""
        pattern = self.files.get(base)
        folder = self._folder()
        if folder is None:
            where = {"data_files": {base: pattern}} if pattern else {"name": self.config}
            return {"path": self.path, "revision": self.revision, **where}
        source: dict[str, Any] = {"path": str(folder)}
        if any(folder.rglob("*.txt*")):
            # As the Hub's own copies have it: a line keeps its newline.
            source["keep_linebreaks"] = True
        if pattern and any(folder.glob(pattern)):
            return {**source, "data_files": {base: pattern}}
        if self.config in _declared_configs(folder):
            return {**source, "name": self.config}
        if self.config and (folder / self.config).is_dir():
            return {**source, "data_dir": self.config}
        return source

    def documents(self, split: str) -> Iterator[str]:
        """The split's texts after the detokenizer, read in batches from the mapped arrow files.
        OSError where the repository cannot be had, ValueError for a split or column it lacks."""
        dataset = self._dataset(split)
        self._check_column(dataset)
        detokenize = DETOKENIZERS[self.detokenizer] if self.detokenizer else str
        for batch in dataset.select_columns([self.text_key]).iter(batch_size=1000):
            yield from (detokenize(text or "") for text in batch[self.text_key])

    def _check_column(self, dataset: Any) -> None:
        """ValueError unless the dataset has a column data.text_key that holds text."""
        if self.text_key not in dataset.column_names:
            raise ValueError(
                f"data.text_key={self.text_key!r}: {self.path!r} has the columns "
                f"{dataset.column_names}"
            )
        kind = dataset.data.schema.field(self.text_key).type
        if not holds_text(kind):
            raise ValueError(
                f"data.text_key={self.text_key!r}: {self.path!r} has {kind} there, not text"
            )

    def _dataset(self, split: str) -> Any:
        if split not in self._loaded:
            self._loaded[split] = self._load(split)
        return self._loaded[split]

    def _load(self, split: str) -> Any:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError

        expression, folder, unreachable = self._expression(split), self._folder(), None
        try:
            if folder is not None and any((folder / name).is_file() for name in _SAVED):
                return _load_saved(folder, expression)
            source = self._source(expression.partition("[")[0])
            if folder is not None:
                return load_dataset(**source, split=expression)
            with hub_or_cache() as unreachable:
                return load_dataset(**source, split=expression)
        except ValueError as error:
            raise ValueError(
                f"data.{split}_split={expression!r}: {_brief(error)}; of one split, "
                f"'data.train_split=train[:-1000]' 'data.valid_split=train[-1000:]' make two"
            ) from error
        except (OSError, RuntimeError, DatasetsError) as error:
            reason = unreachable if isinstance(error, ConnectionError) else None
            raise OSError(
                f"data.path={self.path!r} cannot be loaded ({reason or _brief(error)}); a local "
                "copy is read with data.path=FOLDER"
            ) from error

    def digest(self, split: str) -> str:
        """Of a local folder the file contents, of a repository its name and revision."""
        folder = self._folder()
        if folder is None:
            content = [self.path, self.config, self.revision]
        else:
            files = (file for file in folder.rglob("*") if file.suffix in _DATA_SUFFIXES)
            content = [digest_of(sorted(files)), self.config]
        base = self._expression(split)
        fields = [content, base, sorted(self.files.items()), self.text_key, self.detokenizer]
        return hashlib.sha256(repr(fields).encode()).hexdigest()

    def size_hint(self, split: str) -> int | None:
        """The share of the repository's split that is read, in bytes."""
        dataset = self._dataset(split)
        whole = (dataset.info.splits or {}).get(self._expression(split).partition("[")[0])
        if whole is None or not whole.num_examples:
            return None
        return int(whole.num_bytes * len(dataset) / whole.num_examples)


def _load_saved(folder: Path, expression: str) -> Any:
    """The rows of an expression such as "train[:-100]" in a folder that save_to_disk wrote; one
    dataset alone is the split "train". ValueError for what is no expression of its splits."""
    from datasets import Dataset, ReadInstruction, concatenate_datasets, load_from_disk

    loaded = load_from_disk(str(folder))
    splits = {"train": loaded} if isinstance(loaded, Dataset) else dict(loaded)
    lengths = {name: len(rows) for name, rows in splits.items()}
    parts = ReadInstruction.from_spec(expression).to_absolute(lengths)
    return concatenate_datasets(
        [splits[part.splitname].select(range(part.from_, part.to)) for part in parts]
    )


def _declared_configs(folder: Path) -> list[str]:
    """The configurations that the folder's README.md declares, as the Hub's copies do."""
    if not (folder / "README.md").is_file():
        return []
    import yaml
    from datasets import get_dataset_config_names

    try:
        return get_dataset_config_names(str(folder))
    except yaml.YAMLError as error:
        raise ValueError(
            f"data.path={str(folder)!r}: its README.md does not begin with YAML ({_brief(error)})"
        ) from error


def _brief(error: Exception) -> str:
    first = first_line(error)[:SHOWN]
    return first if error.__cause__ is None else f"{first}: {str(error.__cause__).strip()[:SHOWN]}"
