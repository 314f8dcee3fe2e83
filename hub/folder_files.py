"""Files of a folder beside its weights: configurations in YAML, and those of its tokenizer."""

from pathlib import Path
from typing import Any

import yaml

from data.tokenizer_files import first_line
from hub.weight_files import MOST_CONFIG_BYTES, read_json

MASK_TOKEN = "tokenizer_config.json"


def read_yaml(file: Path) -> Any:
    if not file.is_file():
        raise ValueError(f"{file}: not there")
    if file.stat().st_size > MOST_CONFIG_BYTES:
        raise ValueError(f"{file.name}: more than {MOST_CONFIG_BYTES:,} bytes")
    try:
        content = file.read_bytes()
        if b"<<" in content:  # small files can make large mappings of it
            raise ValueError("it merges mappings")
        return yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{file.name}: not YAML ({first_line(error)})") from error


def tokenizer_of_folder(folder: Path) -> str | None:
    has = any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json", "vocab.txt"))
    return str(folder) if has else None


def mask_of_folder(folder: Path) -> int | None:
    """The id of the mask token of the tokenizer whose files lie in the folder."""
    if not (folder / MASK_TOKEN).is_file():
        return None
    tokenizer = read_json(folder / MASK_TOKEN, 2**24)
    mask, added = tokenizer.get("mask_token"), tokenizer.get("added_tokens_decoder")
    mask = mask.get("content") if isinstance(mask, dict) else mask
    for number, token in (added if isinstance(added, dict) else {}).items():
        if isinstance(token, dict) and token.get("content") == mask and number.isdecimal():
            return int(number)
    return None
