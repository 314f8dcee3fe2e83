"""Files of a published folder: weights in one file or in shards with an index, of safetensors or of
torch.save; configurations in JSON and YAML; the tokenizer."""

import json
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from data.tokenizer_files import TOKENIZER_FILES, first_line
from hub.published import tensors
from hub.torch_file import read_torch_file
from storage import utf8_name

NAMES = ("model.safetensors", "pytorch_model.bin")
INDEX = ".index.json"
MOST_CONFIG_BYTES = 2**20
MASK_TOKEN = "tokenizer_config.json"


def has_weights(folder: Path) -> bool:
    return any((folder / (name + end)).is_file() for name in NAMES for end in ("", INDEX))


def read_json(file: Path, most_bytes: int = MOST_CONFIG_BYTES) -> dict[str, Any]:
    """The object in a JSON file; ValueError names the file."""
    text = _text(file, most_bytes)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file.name}: not JSON ({first_line(error)})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file.name}: not a JSON object")
    return content


def read_yaml(file: Path) -> Any:
    """The content of a YAML file; ValueError names the file."""
    if not file.is_file():
        raise ValueError(f"{file}: not there")
    text = _text(file)
    try:
        if b"<<" in text:  # small files can make large mappings of it
            raise ValueError("it merges mappings")
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{file.name}: not YAML ({first_line(error)})") from error


def _text(file: Path, most_bytes: int = MOST_CONFIG_BYTES) -> bytes:
    if file.stat().st_size > most_bytes:
        raise ValueError(f"{file.name}: more than {most_bytes:,} bytes")
    return file.read_bytes()


def tokenizer_of_folder(folder: Path) -> str | None:
    return str(folder) if any((folder / name).is_file() for name in TOKENIZER_FILES) else None


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


def read_weights(folder: Path, prefix: str = "") -> tuple[dict[str, Tensor], list[Path]]:
    """Weights by name, without `prefix`, and the files that they came from. ValueError names the
    first file or weight that is missing, outside of the folder, damaged or superfluous."""
    for name in NAMES:
        if (folder / name).is_file():
            return tensors(_read(folder / name), name, prefix), [folder / name]
        if (folder / (name + INDEX)).is_file():
            weights, files = _read_shards(folder, name + INDEX)
            return tensors(weights, name + INDEX, prefix), files
    present = ", ".join(sorted(path.name for path in folder.iterdir())[:12])
    raise ValueError(f"{folder}: no weights ({' or '.join(NAMES)}, whole or in parts): {present}")


def _read_shards(folder: Path, index: str) -> tuple[dict[str, Any], list[Path]]:
    places = read_json(folder / index, 2**24).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise ValueError(f"{index}: no weight_map from weights to files")
    weights: dict[str, Any] = {}
    names = sorted(set(places.values()))
    for name in names:
        if name in ("", ".", "..") or Path(name).name != name or "\\" in name:
            raise ValueError(f"{index}: {name} is not a file of the folder")
        if not (folder / name).is_file():
            raise ValueError(f"{name}: not there, though {index} names it: a part of a download?")
        shard = _read(folder / name)
        listed = {key for key, place in places.items() if place == name}
        if odd := sorted(shard.keys() ^ listed):
            raise ValueError(f"{name}: {odd[0]} is in the file or in {index}, not in both")
        weights |= shard
    return weights, [folder / index, *(folder / name for name in names)]


def _read(file: Path) -> dict[str, Any]:
    if file.suffix != ".safetensors":
        content = read_torch_file(file)
        if not isinstance(content, dict):
            raise ValueError(f"{file.name}: not weights by name")
        return content
    try:
        with utf8_name(file) as name:
            return load_file(name)
    except (SafetensorError, OSError, ValueError) as error:
        reason = first_line(error)
        raise ValueError(
            f"{file.name}: truncated, changed or not of safetensors ({reason})"
        ) from error
