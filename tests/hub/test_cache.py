"""Names of the Hub are folders of its cache, laid out by hand; nothing is downloaded."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub import cache
from hub.open import open_model
from tests.hub.files import HUB, hub_folder, weights

NAME = "someone/mdlm-small"
OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache as huggingface_hub lays it out: snapshots of links to blobs, `main` the newer."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    repository = tmp_path / "models--someone--mdlm-small"
    for seed, revision in enumerate((OLD, NEW)):
        config = HUB | {"model_type": "mdlm", "vocab_size": 9}
        real = hub_folder(tmp_path / "real", config, weights(9, seed=seed))
        snapshot = repository / "snapshots" / revision
        snapshot.mkdir(parents=True)
        (repository / "blobs").mkdir(exist_ok=True)
        for file in real.iterdir():
            blob = repository / "blobs" / f"{revision}-{file.name}"
            shutil.move(file, blob)
            (snapshot / file.name).symlink_to(f"../../blobs/{blob.name}")
    for name, revision in {"main": NEW, "v1": OLD}.items():
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / name).write_text(revision)
    return tmp_path


@pytest.mark.parametrize(
    ("revision", "seed"), [("", 1), ("@main", 1), ("@v1", 0), (f"@{OLD}", 0), (f"@{NEW}", 1)]
)
def test_hub_name_opens_its_revision_from_the_cache(
    revision: str, seed: int, hub_cache: Path
) -> None:
    model = open_model(NAME + revision)
    norm = model.checkpoint["state_dict"]["backbone.norm.weight"]
    assert norm.equal(weights(9, seed=seed)["output_layer.norm_final.weight"])
    assert model.source == NAME + revision


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("someone/else", "`hf download someone/else`"),
        (f"{NAME}@v2", f"`hf download {NAME} --revision v2`"),
    ],
)
def test_hub_name_that_is_not_in_the_cache_is_refused_without_a_network(
    name: str, command: str, hub_cache: Path
) -> None:
    with pytest.raises(OSError, match="HF_HUB_OFFLINE is set: download it first") as refusal:
        open_model(name)
    assert command in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


def test_hub_name_of_which_the_cache_has_other_files_alone_is_not_there(hub_cache: Path) -> None:
    for file in hub_cache.rglob("model.safetensors"):
        file.unlink()
    with pytest.raises(OSError, match="its weights are not in the cache"):
        open_model(NAME)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("GatedRepoError", "its authors grant access at the Hub"),
        ("RepositoryNotFoundError", "no such model or revision on the Hub"),
        ("RevisionNotFoundError", "no such model or revision on the Hub"),
        ("LocalEntryNotFoundError", "cannot be reached"),
        ("HTTPError", "cannot be reached"),
    ],
)
def test_hub_name_says_why_it_cannot_be_downloaded(
    kind: str, reason: str, hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(name: str, local_files_only: bool = False, **options: Any) -> str:
        if local_files_only:
            raise cache.LocalEntryNotFoundError("not cached")
        error = getattr(cache, kind)
        raise error.__new__(error, "an answer")  # its constructor takes an answer of the Hub

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("hub.cache.snapshot_download", answer)
    with pytest.raises((ValueError, OSError), match=reason) as refusal:
        open_model(NAME)
    assert len(str(refusal.value).splitlines()) == 1


def test_hub_name_is_downloaded_without_code_and_in_the_older_format_last(
    hub_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def answer(name: str, local_files_only: bool = False, **options: Any) -> str:
        if local_files_only:
            raise cache.LocalEntryNotFoundError("not cached")
        asked.append(options["allow_patterns"])
        if "*.bin" in asked[-1]:
            (tmp_path / "pytorch_model.bin").touch()
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("hub.cache.snapshot_download", answer)
    folder: Callable[[str], Path] = cache.hub_folder
    assert folder(NAME) == tmp_path
    assert [patterns[-1] for patterns in asked] == ["*.safetensors", "*.bin"]
    assert not any(pattern.endswith(".py") for patterns in asked for pattern in patterns)
