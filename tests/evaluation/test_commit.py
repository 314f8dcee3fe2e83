"""The state of the code in a record: its commit, and the difference from it beside the records."""

import subprocess
from pathlib import Path

import pytest

from evaluation.commit import base, commit, commit_kept, difference_file, is_kept


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A repository with one commit."""
    folder = tmp_path / "code"
    folder.mkdir()
    git(folder, "init", "-q")
    assert commit(folder) is None
    (folder / "code.py").write_text("a = 1\n")
    git(folder, "add", "code.py")
    git(folder, "commit", "-q", "-m", "one")
    git(folder, "tag", "-a", "v1", "-m", "v1")
    return folder


def test_a_clean_repository_is_its_commit(code: Path, tmp_path: Path) -> None:
    head = git(code, "rev-parse", "HEAD")
    (code / "notes.txt").write_text("no code")
    assert commit(code) == commit_kept(tmp_path, code) == head == base(head)
    assert not (tmp_path / "diffs").exists()


@pytest.mark.parametrize("file", ["code.py", "new.py", "in/new.yaml"])
@pytest.mark.parametrize("text", ["a = 2\nb = 3\n", "a = 2\n\nb = 3", "", "a = '\u2028'\n"])
def test_a_dirty_one_names_the_difference_that_makes_it_again(
    text: str, file: str, code: Path, tmp_path: Path
) -> None:
    head = git(code, "rev-parse", "HEAD")
    (code / file).parent.mkdir(exist_ok=True)
    (code / file).write_text(text)
    stated = commit_kept(tmp_path, code)
    assert stated is not None and stated.startswith(f"{head}-dirty-") and base(stated) == head
    assert stated == commit(code)
    assert is_kept(stated, tmp_path)
    copy = tmp_path / "copy"
    git(tmp_path, "clone", "-q", str(code), str(copy))
    git(copy, "apply", str(tmp_path / difference_file(stated)))
    assert (copy / file).read_text() == (code / file).read_text()


def test_another_difference_is_another_name_and_an_edited_one_is_none(
    code: Path, tmp_path: Path
) -> None:
    (code / "code.py").write_text("a = 2\n")
    first = commit_kept(tmp_path, code)
    (code / "code.py").write_text("a = 3\n")
    second = commit_kept(tmp_path, code)
    assert first != second
    assert first is not None and second is not None
    assert is_kept(first, tmp_path) and is_kept(second, tmp_path)
    file = tmp_path / difference_file(first)
    file.write_text(file.read_text().replace("a = 2", "a = 1"))
    assert not is_kept(first, tmp_path)
    file.unlink()
    assert not is_kept(first, tmp_path)


def test_no_commit_without_a_repository_or_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit() is None and base(commit()) is None
