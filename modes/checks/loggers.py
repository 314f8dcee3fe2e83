"""Loggers that need a package or a login; only the standard library."""

import importlib.util
import os
from pathlib import Path
from urllib.parse import urlparse

from modes.settings import Settings

OFFLINE = ("disabled", "dryrun", "offline")


def check_loggers(settings: Settings) -> None:
    """ValueError for a logger that a training asks for and that cannot begin."""
    if settings.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ValueError(
            "tensorboard=true: the package tensorboard is not installed (pip install tensorboard)"
        )
    wandb = settings.wandb
    if wandb.project is None and wandb.name is None:
        return
    key = f"wandb.name={wandb.name}" if wandb.project is None else f"wandb.project={wandb.project}"
    if importlib.util.find_spec("wandb") is None:
        raise ValueError(f"{key}: the package wandb is not installed (pip install wandb)")
    offline = wandb.offline or os.environ.get("WANDB_MODE") in OFFLINE
    if not offline and "WANDB_API_KEY" not in os.environ and not has_login():
        raise ValueError(
            f"{key}: no login to Weights & Biases here; wandb login, or WANDB_API_KEY in the "
            f"environment, or wandb.offline=true"
        )


def has_login() -> bool:
    """Whether the user's netrc names the host of Weights & Biases, where `wandb login` writes."""
    address = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
    host = urlparse(address).hostname or address
    file = Path(os.environ.get("NETRC") or os.path.expanduser("~/.netrc"))  # noqa: PTH111
    try:
        return host in file.read_text(errors="replace").split()
    except OSError:
        return False
