"""Where a Hugging Face tokenizer is found, and why one cannot be loaded."""

import importlib.util
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from data.hub_access import unreachable
from data.tokenizers import BUILT_IN

SENTENCEPIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "vocab.txt")


def open_tokenizer(name_or_path: str) -> Any:
    """The transformers tokenizer of a folder, else of that name in the local Hub cache, else on
    the Hub; ValueError in one line where there is none."""
    folder = Path(name_or_path).expanduser()
    is_local = folder.exists() or name_or_path.startswith((".", "/", "~"))
    if is_local and not folder.is_dir():
        raise refusal(name_or_path, "no such folder")
    try:
        return from_library(str(folder)) if is_local else from_hub(name_or_path)
    except (OSError, ValueError) as error:
        raise refusal(name_or_path, first_line(error)) from error


def from_hub(name: str) -> Any:
    """The transformers tokenizer of that name in the local Hub cache, else on the Hub; OSError or
    ValueError within seconds where it cannot be had."""
    with suppress(OSError, ValueError):
        return from_library(name, local_files_only=True)
    if (reason := unreachable()) is not None:
        raise ValueError(f"not in the Hub's cache, and {reason}")
    return from_library(name)


def from_library(source: str, **options: Any) -> Any:
    """The transformers tokenizer of a folder or name, without running code that lies there. OSError
    where it is not there, ValueError in one line for everything that is wrong with it."""
    from transformers import AutoTokenizer
    from transformers.utils import logging

    _check_files(Path(source))
    level = logging.get_verbosity()
    logging.set_verbosity_error()  # it warns of a model beside the tokenizer that it does not know
    try:
        return AutoTokenizer.from_pretrained(
            source, use_fast=True, trust_remote_code=False, **options
        )
    except OSError:
        raise
    except BaseException as error:
        if not is_librarys(error):
            raise
        raise ValueError(_reason(Path(source), error)) from error
    finally:
        logging.set_verbosity(level)


def is_librarys(error: BaseException) -> bool:
    """Whether the tokenizers library may have raised it: it raises plain Exception, and where it
    did not foresee what a file says, a PanicException, which is none."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _check_files(folder: Path) -> None:
    """Refuses what the library would wait for without end, or ask for another package for."""
    for file in folder.iterdir() if folder.is_dir() else []:
        if file.is_fifo():
            raise ValueError(f"{file.name} is not a file")
    alone = next((name for name in SENTENCEPIECE if (folder / name).is_file()), None)
    if alone is None or any((folder / name).is_file() for name in TOKENIZER_FILES):
        return
    if importlib.util.find_spec("sentencepiece") is None:
        raise ValueError(
            f"{alone} alone needs the package sentencepiece, which is not installed; a "
            "tokenizer.json beside it does not"
        )


def _reason(folder: Path, error: BaseException) -> str:
    """Why a tokenizer could not be loaded, with the file where one is known to be damaged."""
    if "trust_remote_code" in str(error):
        return "it brings code of its own (auto_map), which is never run"
    for file in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            json.loads(file.read_bytes())
        except (ValueError, RecursionError) as damage:
            return f"{file.name} is not JSON: {first_line(damage)}"
    if isinstance(error, ValueError) or type(error) is Exception:
        return first_line(error)
    return f"its files do not fit together: {type(error).__name__} {first_line(error)}"


def refusal(name: str, reason: str) -> ValueError:
    return ValueError(
        f"data.tokenizer_name_or_path={name!r} cannot be loaded ({reason}); allowed: {BUILT_IN}, "
        "a local folder, a Hugging Face Hub name"
    )


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
