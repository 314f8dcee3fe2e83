"""Tensors in a file of safetensors, with the errors and the permissions of any other file."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from stat import S_IMODE
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def save_tensors(
    file: Path, tensors: Mapping[str, "Tensor"], metadata: Mapping[str, str] | None = None
) -> None:
    """`tensors` as the new `file`; OSError, with its name, where it cannot be written."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    file.touch()
    mode = S_IMODE(file.stat().st_mode)
    try:
        save_file(dict(tensors), file, None if metadata is None else dict(metadata))
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(file)) from error
    # The library makes a file for its owner alone: nobody else could open a shared model.
    file.chmod(mode)
