"""What a single key of the configuration may be; only the standard library.

A test holds the choices against the rooms' dicts."""

import math
import re
from collections.abc import Iterator
from typing import Any

Settings = dict[str, Any]

CHOICES = {
    "algo.loss_type": ("bound", "low_var"),
    "algo.curriculum": ("efficient", "full"),
    "algo.divergence": ("forward", "reverse"),
    "algo.teacher": ("averaged", "raw"),
    "algo.weighting": ("clip", "dynamic", "dynamic_published", "none"),
    "model.attention": ("flash", "flex", "sdpa"),
    "data.packing": ("pad", "wrap"),
    "data.framing": ("bos", "bos-eos", "none"),
    "strategy.name": ("auto", "ddp"),
    "sampling.noise_removal": ("ancestral", "greedy", "greedy-posterior", "none"),
    "sampling.nucleus": ("drop-crossing", "keep-crossing"),
    "sampling.draws": ("exact", "gumbel32"),
    "sampling.grid": ("cosine", "uniform"),
    "sampling.kappa": (
        "constant-eta",
        "constant-remdm-eta",
        "max-capped-eta",
        "max-rescale-eta",
        "max-rescale-eta-published",
        "psi-cap",
        "psi-loop",
        "psi-rescale",
        "psi-rescale-published",
        "pure-pc",
        "pure-posterior",
        "remdm-cap",
        "remdm-conf",
        "remdm-loop",
        "remdm-rescale",
    ),
    "trainer.accelerator": ("auto", "cpu", "cuda", "gpu", "mps", "tpu"),
    "trainer.precision": (
        "16",
        "16-mixed",
        "16-true",
        "32",
        "32-true",
        "64",
        "64-true",
        "bf16",
        "bf16-mixed",
        "bf16-true",
    ),
    "eval.downstream_score": ("continuation", "full"),
    "eval.quality_protocol": ("default", "duo", "gidd", "mdlm", "remdm", "sedd"),
}
AT_LEAST = {
    "seed": 0,
    "algo.T": 2,
    "algo.reconstruct_one_in": 1,
    "algo.k": 2,
    "algo.rounds": 1,
    "algo.grid": 1,
    "algo.curriculum_steps": 0,
    "model.hidden_size": 1,
    "model.length": 2,
    "model.n_blocks": 1,
    "model.n_heads": 1,
    "trainer.limit_val_batches": 0,
    "trainer.log_every_n_steps": 0,
    "trainer.max_steps": 1,
    "trainer.num_nodes": 1,
    "trainer.val_check_interval": 1,
    "lr_scheduler.num_warmup_steps": 0,
    "optim.weight_decay": 0,
    "checkpointing.every_n_steps": 1,
    "eval.passes": 1,
    "eval.stride": 1,
    "eval.batch_mean": 1,
    "eval.limit": 1,
    "eval.num_fewshot": 0,
    "sampling.steps": 1,
    "sampling.stride": 1,
    "sampling.top_k": 1,
    "sampling.guidance": 0,
    "sampling.num_sample_batches": 1,
    "sampling.self_correction": 0,
    "sampling.self_correction_tokens": 1,
    "sampling.self_correction_patience": 1,
    "loader.global_batch_size": 1,
    "loader.eval_batch_size": 1,
    "loader.num_workers": 0,
}
ABOVE_ZERO = (
    "sampling.temperature",
    "sampling.self_correction_temperature",
    "algo.max_weight",
    "algo.tau",
    "noise.eps",
    "noise.sigma_min",
    "noise.sigma_max",
    "optim.eps",
    "optim.lr",
    "trainer.gradient_clip_val",
    "training.max_seconds",
)
BELOW_ONE = (
    "sampling.min_p",
    "sampling.self_correction_time",
    "algo.p_uniform",
    "model.dropout",
    "noise.eps",
    "optim.beta1",
    "optim.beta2",
    "training.ema",
    "training.sampling_eps",
)


LARGEST = 2**63 - 1
DEVICES = r"auto|-1|[1-9]\d*|\d+(, *\d+)+,?"  # how many, or which


def check_values(settings: Settings) -> None:
    """ValueError naming the key, the value and what is allowed."""
    check_finite(settings)
    folder = settings["results_dir"]
    if settings["mode"] != "leaderboard" and not isinstance(folder, str):
        raise ValueError(
            f"results_dir={folder}: must be one folder; only mode=leaderboard takes several"
        )
    check_name("data.name", lookup(settings, "data.name"))
    for key, allowed in CHOICES.items():
        value = lookup(settings, key)
        if value is not None and str(value) not in allowed:
            raise ValueError(f"{key}={value!r}: choose from {', '.join(allowed)}")
    for key, least in AT_LEAST.items():
        value = number(settings, key)
        if value is not None and value < least:
            raise ValueError(f"{key}={value}: must be at least {least}")
    for key in ABOVE_ZERO:
        value = number(settings, key)
        if value is not None and value <= 0:
            raise ValueError(f"{key}={value}: must be positive")
    for key in BELOW_ONE:
        value = number(settings, key)
        if value is not None and not 0 <= value < 1:
            raise ValueError(f"{key}={value}: must be at least 0 and below 1")
    devices = lookup(settings, "trainer.devices")
    which = isinstance(devices, list) and devices and all(type(one) is int for one in devices)
    if not which and not re.fullmatch(DEVICES, str(devices)):
        raise ValueError(f"trainer.devices={devices!r}: must be auto, a number or a list")
    share = number(settings, "algo.curriculum_share")
    if share is not None and not 0 <= share <= 1:
        raise ValueError(f"algo.curriculum_share={share}: must be from 0 to 1")
    low, high = number(settings, "noise.sigma_min"), number(settings, "noise.sigma_max")
    if low is not None and high is not None and low >= high:
        raise ValueError(f"noise.sigma_min={low}: must be below noise.sigma_max={high}")


def check_name(key: str, name: Any) -> None:
    """ValueError for what is no name of a text: it goes into records, tables and folders."""
    good = isinstance(name, str) and 0 < len(name) <= 100 and name.isprintable()
    if not good or "/" in name or name in (".", ".."):
        raise ValueError(f"{key}={name!r}: must be a word of 1 to 100 characters, without /")


def check_finite(settings: Settings) -> None:
    """ValueError for a number anywhere that is none, or that no computation takes."""
    for key, value in leaves(settings):
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{key}={value}: must be a finite number")
        if isinstance(value, int) and abs(value) > LARGEST:
            raise ValueError(f"{key}={value}: must be at most {LARGEST}")


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no dict and no list, under its dotted key."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from leaves(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value, key)
    else:
        yield key, node


def lookup(settings: Settings, key: str) -> Any:
    """The value at a key with dots, None where there is none."""
    node: Any = settings
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def number(settings: Settings, key: str) -> float | None:
    """The number at a key, None where it is null or there is none; ValueError for anything else."""
    value = lookup(settings, key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key}={value!r}: must be a number")
    return value
