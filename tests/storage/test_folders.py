"""Folders that replace others whole."""

from pathlib import Path

import pytest

from storage import replacing_folder, unfinished


def write(folder: Path, text: str) -> None:
    with replacing_folder(folder) as new:
        (new / "file").write_text(text)


@pytest.mark.parametrize("what", ["nothing", "folder", "file", "link", "loop"])
def test_a_new_folder_takes_the_place_of_whatever_is_there(tmp_path: Path, what: str) -> None:
    folder, other = tmp_path / "a", tmp_path / "other"
    write(other, "other")
    if what == "folder":
        write(folder, "old")
    elif what == "file":
        folder.write_text("old")
    elif what != "nothing":
        folder.symlink_to(other if what == "link" else folder)
    write(folder, "new")
    assert (folder / "file").read_text() == "new" and not folder.is_symlink()
    assert (other / "file").read_text() == "other"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "other"]


def test_an_unfinished_folder_is_known_by_the_one_it_is_to_be(tmp_path: Path) -> None:
    folder = tmp_path / "a.b"
    with replacing_folder(folder) as new:
        assert unfinished(tmp_path) == {new: folder}
    assert unfinished(tmp_path) == {}
    new.mkdir()  # as a kill leaves it
    write(folder, "new")
    assert not new.exists()
