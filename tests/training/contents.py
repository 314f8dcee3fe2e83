"""Parts of checkpoints as training writes them."""

from typing import Any


def resumed_parts() -> dict[str, Any]:
    """The state that a run needs to go on, beside weights and configuration."""
    return {
        "optimizer_states": [{"state": {0: {"step": 3}}, "param_groups": [{"lr": 1}]}],
        "lr_schedulers": [{"last_epoch": 3}],
        "loops": {"fit_loop": {}},
        "callbacks": {"Checkpoints": {}},
        "validation": {"due": 0, "done": 0},
        "data_digests": {"tokenizer": "t"},
        "pytorch-lightning_version": "2",
    }
