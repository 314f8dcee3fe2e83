"""A published checkpoint as its own files describe it, before any of it is renamed or moved."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from hub.torch_file import Record

LARGEST = 2**24  # of any size or count in a configuration
CLIP = ("sampling_eps_min", "sampling_eps_max")  # of BD3-LM, beside its weights
CONTENTS = ("_content", "_val")  # of OmegaConf's containers, and of its values
SIZES = ("hidden_size", "cond_dim", "length", "n_blocks", "n_heads")
# As the classes MDLM, DUO, UDLM and BD3-LM of the Hub have them.
HUB_NAMES = {"hidden_size": "hidden_dim", "length": "model_length"}
PLAIN = (str, bytes, int, float, bool)
Settings = dict[str, Any]
LOG_LINEAR: Settings = {"name": "log-linear", "eps": 1e-3}


@dataclass(frozen=True)
class Published:
    """Settings in this suite's words, weights under the names of the published network.

    `algo` has the name of an algorithm and keywords of its constructor, `network` those of the DiT;
    `noise` a schedule and its keywords. `averaged` are the averaged weights where `weights` are not
    these already. `rows` of the embedding and `mask`, the id of the mask, are None where the
    configuration does not say; `ids` is how many rows stand for something where not all do."""

    format: str
    algo: Settings
    network: Settings
    weights: dict[str, Tensor]
    files: list[Path]
    name: str = "published"  # of the model, in a configuration of this suite
    averaged: dict[str, Tensor] | None = None
    are_averaged: bool = False  # whether `weights` are averages already
    rows: int | None = None
    ids: int | None = None
    mask: int | None = None
    noise: Settings = field(default_factory=LOG_LINEAR.copy)
    tokenizer: str | None = None
    corpus: str | None = None
    framing: str = "bos-eos"  # of the texts that it was trained on
    steps: int | None = None
    tokens: int | None = None  # that it was trained on, where no batch size tells
    global_batch_size: int | None = None


@dataclass(frozen=True)
class Config:
    """A configuration whose values are looked at one by one: the rest may be unresolved, unknown or
    hostile. ValueError names the file, the key and the value that is not as it should be."""

    values: Any
    source: str

    def get(self, key: str) -> Any:
        """The value at a dotted key, None where there is none."""
        value = _content(self.values)
        for part in key.split("."):
            if not isinstance(value, dict):
                return None
            value = _content(value.get(part))
        return value

    def check_mapping(self) -> None:
        if not isinstance(_content(self.values), dict):
            kind = "absent" if self.values is None else f"<{_kind(self.values)}>"
            raise ValueError(f"{self.source}={kind}: must be a configuration")

    def count(self, key: str) -> int:
        """An integer from 1 to `LARGEST`."""
        value = self.get(key)
        if type(value) is not int or not 1 <= value <= LARGEST:
            raise self.refusal(key, f"an integer from 1 to {LARGEST}")
        return value

    def stated_count(self, key: str) -> int | None:
        """The same, None for anything else: a number that nothing depends on."""
        value = self.get(key)
        return value if type(value) is int and 1 <= value <= LARGEST else None

    def number(self, key: str, low: float, high: float) -> float:
        """A number from `low` to below `high`."""
        value = self.get(key)
        if type(value) not in (int, float) or not low <= value < high:
            raise self.refusal(key, f"a number from {low:g} to below {high:g}")
        return float(value)

    def flag(self, key: str, default: bool | None = None) -> bool:
        value = self.get(key)
        value = default if value is None else value
        if type(value) is not bool:
            raise self.refusal(key, "true or false")
        return value

    def choice(self, key: str, among: Collection[Any]) -> Any:
        """One of `among`, whose types are text or numbers."""
        value = self.get(key)
        if not isinstance(value, str | int | float | bool | None) or value not in among:
            known = ", ".join("absent" if item is None else f"{item}" for item in among)
            raise self.refusal(key, f"one of those that are known here ({known})")
        return value

    def text(self, key: str) -> str | None:
        """A text, None for anything else: a name that nothing depends on."""
        value = self.get(key)
        return value if isinstance(value, str) else None

    def refusal(self, key: str, allowed: str) -> ValueError:
        value = self.get(key)
        plain = value is None or isinstance(value, PLAIN)
        shown = str(value)[:80] if plain else f"<{_kind(value)}>"
        return ValueError(f"{self.source}: {key}={shown}: must be {allowed}")


def _kind(value: Any) -> str:
    return value.name if isinstance(value, Record) else type(value).__name__


def _content(value: Any) -> Any:
    """The content of an OmegaConf object of a pickle; any other value itself."""
    if isinstance(value, Record) and value.name.startswith("omegaconf."):
        state = value.state if isinstance(value.state, dict) else {}
        return next((state[name] for name in CONTENTS if name in state), None)
    return value


def block_settings(config: Config, length: int, level: str = "") -> Settings:
    """The keywords of block diffusion: its masked noise, and the times that its training has drawn,
    which are at `level` of the configuration."""
    size = config.count("block_size")
    if length % size:
        raise config.refusal("block_size", f"a divisor of {length}, the length")
    ends = {key: config.number(f"{level}{key}", 0, 1 + 1e-9) for key in CLIP}
    return {"name": "bd3lm", "block_size": size, "noise": "masked", **ends}


def network_settings(config: Config, level: str = "", **others: str) -> Settings:
    """The keywords of the DiT: its SIZES, at `level` of the configuration, where some have `others`
    as their names."""
    return {name: config.count(level + others.get(name, name)) for name in SIZES}


def tensors(values: Any, source: str, prefix: str = "") -> dict[str, Tensor]:
    """Weights by name, without `prefix` and the mark that torch.compile leaves."""
    if not isinstance(values, dict) or not values:
        raise ValueError(f"{source}: there are no weights in it")
    weights = {}
    for key, value in values.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ValueError(f"{source}: {str(key)[:80]} is a {_kind(value)}, not a tensor")
        weights[key.replace("_orig_mod.", "").removeprefix(prefix)] = value
    return weights


def averaged_weights(ema: Any, weights: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """The averaged weights by name: a list in the order of the parameters, which is that of
    `weights` without buffers."""
    shadow = ema.get("shadow_params") if isinstance(ema, dict) else None
    names = [name for name in weights if not name.startswith("rotary_emb.") and name not in CLIP]
    if not isinstance(shadow, list) or len(shadow) != len(names):
        count = len(shadow) if isinstance(shadow, list) else "no"
        raise ValueError(
            f"{source}: ema.shadow_params has {count} tensors, the network {len(names)}: they have "
            f"no names, so their number and order must agree"
        )
    averaged = tensors(dict(zip(names, shadow, strict=True)), f"{source}: ema.shadow_params")
    for name, tensor in averaged.items():
        if tensor.shape != weights[name].shape:
            raise ValueError(
                f"{source}: ema.shadow_params does not follow the parameters: {name} has shape "
                f"{tuple(weights[name].shape)}, its average {tuple(tensor.shape)}"
            )
    return averaged
