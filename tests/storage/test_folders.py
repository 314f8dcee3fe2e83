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


@pytest.mark.parametrize("name", ["a", "a.b", "a[1]"])
def test_what_a_killed_writer_left_is_mended(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    write(folder, "old")
    aside = folder.rename(tmp_path / f".{name}.{'0' * 32}.old")  # then it was killed
    (tmp_path / f".{name}.{'1' * 32}.partial").mkdir()
    with pytest.raises(InterruptedError), replacing_folder(folder):
        assert (folder / "file").read_text() == "old" and not aside.exists()
        raise InterruptedError
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_whose_name_begins_with_that_of_another_is_left_alone(tmp_path: Path) -> None:
    aside = tmp_path / f".a.b.{'0' * 32}.old"
    aside.mkdir()
    with replacing_folder(tmp_path / "a.b.c") as new:
        write(tmp_path / "a", "new")
        assert new.is_dir() and aside.is_dir()
