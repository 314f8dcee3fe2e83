"""Where a token store is built: a folder beside the final one, for one process at a time."""

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from storage import Held, holding, sync

_LOCK, _PARTIAL = ".lock", ".partial"


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
        for partial in folder.parent.glob(f"*{_PARTIAL}"):
            if partial != folder.with_suffix(_PARTIAL):
                _clear(partial)
        yield


def _clear(partial: Path) -> None:
    """Removes an unfinished store, unless the process that builds it lives."""
    try:
        with holding(partial.with_suffix(_LOCK), f"data.cache_dir={partial.parent}"):
            shutil.rmtree(partial, ignore_errors=True)
    except (Held, PermissionError):
        return


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """A folder beside the final one, gone afterwards; the holder of the lock owns its name."""
    partial = folder.with_suffix(_PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def publish(partial: Path, folder: Path) -> None:
    """Puts finished files into place: whole on disk first, then one rename."""
    for file in partial.iterdir():
        sync(file)
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)
    partial.rename(folder)
    sync(folder.parent)


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
