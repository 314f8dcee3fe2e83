"""How a command ends that cannot go on; only the standard library."""

import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def is_ours(error: BaseException) -> bool:
    """Whether our own code raised it, as a message to the user, and not a library."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    path = Path(frame.filename).resolve()
    return path.is_relative_to(ROOT) and "site-packages" not in path.parts


def leave_process_group() -> None:
    """Without it, a process of several may abort at its exit, after all its work."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
