"""The folder of an export is written whole, and what was there is not lost."""

from pathlib import Path

import pytest

from hub.export_folder import replacing_export


class Killed(BaseException):
    """Stands for a kill: nothing that cleans up runs after it."""


def write(folder: Path, text: str) -> None:
    with replacing_export(folder, "export.path") as new:
        (new / "config.json").write_text(text)


def test_an_export_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write(folder, "old")
    with pytest.raises(OSError, match="full"), replacing_export(folder, "export.path") as new:
        (new / "config.json").write_text("new")
        raise OSError("full")
    assert (folder / "config.json").read_text() == "old"
    assert [path.name for path in tmp_path.glob(".*.partial")] == []


def test_a_kill_between_both_renames_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    write(folder, "old")
    rename = Path.rename

    def killed(path: Path, target: Path) -> Path:
        if path.suffix == ".partial":
            raise Killed
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        patch.setattr("storage.folders.shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(Killed):
            write(folder, "new")
    assert not folder.exists()
    write(folder, "newer")
    assert (folder / "config.json").read_text() == "newer"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        patch.setattr("storage.folders.shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(Killed):
            write(folder, "newest")
    with pytest.raises(OSError, match="full"), replacing_export(folder, "export.path"):
        raise OSError("full")
    assert (folder / "config.json").read_text() == "newer"
