"""Where there is no room, the error has the name of the file, or of the folder, that the user
knows, and nothing half-written stays."""

import errno
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from storage import new_file, replacing, replacing_folder, save_tensors, write_atomic
from training.logs import RunLog

MUCH = b"x" * 4096


@pytest.fixture
def little_room() -> Iterator[None]:
    """No file may become larger than 1,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def refused(file: Path) -> Iterator[None]:
    with pytest.raises(OSError) as refusal:
        yield
    assert (refusal.value.errno, refusal.value.filename) == (errno.EFBIG, str(file))


@pytest.mark.usefixtures("little_room")
@pytest.mark.parametrize("write", [write_atomic, new_file])
def test_a_write_without_room_names_its_file(tmp_path: Path, write: object) -> None:
    with refused(tmp_path / "a"):
        write(tmp_path / "a", MUCH)  # type: ignore[operator]
    assert list(tmp_path.iterdir()) == []


def test_other_errors_in_between_keep_their_name(tmp_path: Path) -> None:
    with pytest.raises(OSError) as refusal, replacing(tmp_path / "a"):
        raise OSError(errno.ECONNRESET, "reset")
    assert refusal.value.filename is None


@pytest.mark.usefixtures("little_room")
def test_a_folder_without_room_is_called_by_its_own_name(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with refused(folder), replacing_folder(folder) as new:
        (new / "config.json").write_bytes(MUCH)
    with refused(folder / "weights"), replacing_folder(folder) as new:
        save_tensors(new / "weights", {"a": torch.zeros(1000)})
    full = OSError(errno.ENOSPC, "full", "code.py", None, None)
    with pytest.raises(OSError) as refusal, replacing_folder(folder) as new:
        full.filename2 = str(new / "code.py")  # as of shutil.copyfile
        raise full
    assert refusal.value.filename2 == str(folder / "code.py")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("little_room")
def test_a_log_without_room_is_named(tmp_path: Path) -> None:
    log = RunLog(tmp_path, name="logs")
    log.log_metrics({f"metric-{number}": 1.0 for number in range(200)}, step=1)
    with refused(Path(log.experiment.metrics_file_path)):
        log.save()


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_tensors_may_be_read_by_whoever_may_read_other_files(tmp_path: Path, mask: int) -> None:
    """The library itself makes files for their owner alone."""
    before = os.umask(mask)
    try:
        save_tensors(tmp_path / "weights", {"a": torch.arange(3)}, {"format": "pt"})
        write_atomic(tmp_path / "config.json", "{}")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o666 & ~mask}
    assert load_file(tmp_path / "weights")["a"].tolist() == [0, 1, 2]
