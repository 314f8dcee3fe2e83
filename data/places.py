"""Where token stores lie, and who builds them: one process at a time."""

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from storage import Held, holding, unfinished

_LOCK = ".lock"


def cache_folder(path: str, tell: Callable[[str], None]) -> Path:
    """data.cache_dir with the home folder for its ~; a user who has none gets a folder of their own
    among the temporary files, and `tell` a line."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        folder = Path(tempfile.gettempdir(), f"discrete-diffusion-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise ValueError(f"data.cache_dir={path}: no home folder, and {folder} is another user's")
    tell(f"data.cache_dir={path}: this user has no home folder; tokens are kept in {folder}")
    return folder


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time builds `folder`; the others wait. Clears away what killed builds left
    beside it. OSError names data.cache_dir where the disk or the folder is the reason."""
    key = f"data.cache_dir={folder.parent}"
    with _explained(folder.parent), ExitStack() as stack:
        while True:
            try:
                stack.enter_context(holding(folder.with_suffix(_LOCK), key))
                break
            except Held:
                time.sleep(0.1)
        for part, other in unfinished(folder.parent).items():
            if other != folder:
                _clear(part, other, key)
        yield


def _clear(part: Path, folder: Path, key: str) -> None:
    """Removes an unfinished store, unless the process that builds it lives."""
    try:
        with holding(folder.with_suffix(_LOCK), key):
            shutil.rmtree(part, ignore_errors=True)
    except (Held, PermissionError):
        return


@contextmanager
def _explained(cache_dir: Path) -> Iterator[None]:
    """Names the key when the cache folder is the reason: no space, no permission, a file."""
    try:
        yield
    except OSError as error:
        path = Path(error.filename).resolve() if isinstance(error.filename, str) else None
        here = cache_dir.resolve()
        ours = path is not None and (here in (path, *path.parents) or path in here.parents)
        if not ours and error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        raise OSError(
            f"data.cache_dir={str(cache_dir)!r}: {error.strerror}; no unfinished files remain"
        ) from error
