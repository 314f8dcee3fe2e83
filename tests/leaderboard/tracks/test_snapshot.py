"""The shipped results: made from records alone, and what is shipped is what they make."""

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hydra import initialize_config_dir

import main
from evaluation.records import read_records
from scripts import snapshot
from tests.leaderboard.tracks.example_entries import STEPS, falling, seeds, write

README = f"# Title\n\n{snapshot.BEGIN}\n{snapshot.END}\n\nthe rest\n"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results of both tracks, their snapshot in docs, and a README."""
    folder = tmp_path_factory.mktemp("snapshot")
    for track in snapshot.TRACKS:
        for algo, last in (("ar", 2.0), ("mdlm", 2.5)):
            seeds(folder / track, track, algo, last)
    for calls in (4.0, 16.0):
        for seed in (1, 2, 3):
            measured = {"divergence": 0.5 + 1 / calls, "network_evaluations": calls}
            how = {"predictor": "ancestral", "steps": int(calls)}
            changes = {"metric": "samples", "kind": "estimate", "value": 3.0, "metrics": measured}
            nats = falling(4.0, 2.5, STEPS)
            place = folder / snapshot.TRACKS[0]
            write(place, snapshot.TRACKS[0], "mdlm", seed, 2.5, nats, sampler=how, **changes)
    seeds(folder / snapshot.TRACKS[0], snapshot.TRACKS[0], "gidd", 2.7, commit=None)
    (folder / "README.md").write_text(README)
    snapshot.run([], folder, folder / "docs", folder / "README.md")
    return folder


def test_entries_are_shipped_whole_and_nothing_else(shipped: Path) -> None:
    for track in snapshot.TRACKS:
        ours, problems = read_records(shipped / "docs" / track)
        assert problems == []
        theirs = [one for one in read_records(shipped / track)[0] if one.commit is not None]
        assert {one.digest for one in ours} == {one.digest for one in theirs}
        named = {one.metrics["curve"] for one in ours if "curve" in one.metrics}
        assert {
            f"curves/{file.name}" for file in (shipped / "docs" / track / "curves").iterdir()
        } == named


def test_rendering_again_gives_the_same_files(shipped: Path) -> None:
    before = {file: file.read_bytes() for file in shipped.rglob("*") if file.is_file()}
    snapshot.run(["--render"], Path("nowhere"), shipped / "docs", shipped / "README.md")
    assert {file: file.read_bytes() for file in shipped.rglob("*") if file.is_file()} == before


def test_readme_begins_with_the_table_and_the_pictures(shipped: Path) -> None:
    text = (shipped / "README.md").read_text()
    before, _, rest = text.partition(snapshot.BEGIN)
    between, _, after = rest.partition(snapshot.END)
    assert before + snapshot.BEGIN + "\n" + snapshot.END + after == README
    assert "| algorithm | perplexity | rank | over AR | deviation | tokens | params |" in between
    assert re.search(r"\| ar \| 7\.389 ± 0\.043 \|", between)
    assert re.search(r"\| mdlm \| \**≤ 12\.18\d* ± 0\.0\d+\** \| 1 \|", between)
    assert re.findall(r"!\[[\w -]+\]\((.*)\)", between) == [
        "docs/results/quality.svg",
        "docs/results/epochs.svg",
    ]


@pytest.mark.parametrize("name", ["quality", "epochs"])
def test_pictures_can_be_read_on_light_and_dark(name: str, shipped: Path) -> None:
    text = (shipped / "docs" / f"{name}.svg").read_text()
    root = ElementTree.fromstring(text)
    assert root.tag.endswith("svg") and "ancestral" not in text
    for color in re.findall(r'(?:fill|stroke)="(#[0-9a-f]{6})"', text):
        for paper in ("#ffffff", "#0d1117"):
            assert contrast(color, paper) > 3, color
    assert not re.search(r'<path[^>]*d="M0,0h\d+v\d+h-\d+Z"[^>]*fill="(white|#fff)', text)


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG."""

    def light(color: str) -> float:
        parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def test_what_cannot_be_shipped_ends_in_a_line(shipped: Path, tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(SystemExit, match=r"^no entry of shakespeare-1M or shakespeare-epochs in"):
        snapshot.run([], tmp_path, tmp_path / "docs", tmp_path / "README.md")
    shutil.copytree(shipped / "docs", tmp_path / "docs")
    (tmp_path / "README.md").write_text("no marks")
    with pytest.raises(SystemExit, match=r"the marks <!-- results: made by .* are needed"):
        snapshot.run(["--render"], tmp_path, tmp_path / "docs", tmp_path / "README.md")
    (tmp_path / "README.md").write_text(README)
    monkeypatch.setattr(snapshot, "MOST", 1000)
    with pytest.raises(SystemExit, match=r"^more than 0.001 MB"):
        snapshot.run(["--render"], tmp_path, tmp_path / "docs", tmp_path / "README.md")


SHIPPED = [track for track in snapshot.TRACKS if (snapshot.SHIPPED / track).is_dir()]


@pytest.mark.skipif(not SHIPPED, reason="nothing is shipped yet")
def test_shipped_tables_are_those_of_the_shipped_records(tmp_path: Path) -> None:
    with initialize_config_dir(str(main.ROOT / "configs"), version_base="1.3"):
        found = [snapshot.results_of(track, snapshot.SHIPPED / track) for track in SHIPPED]
    for track, results in zip(SHIPPED, found, strict=True):
        assert results is not None
        assert (snapshot.SHIPPED / f"{track}.md").read_text() == snapshot.text_of(results)
    made = [results for results in found if results is not None]
    pictures = [
        name for name in ("quality.svg", "epochs.svg") if (snapshot.SHIPPED / name).exists()
    ]
    assert snapshot.beginning(made, pictures) in (main.ROOT / "README.md").read_text()
    size = sum(file.stat().st_size for file in snapshot.SHIPPED.rglob("*") if file.is_file())
    assert size <= snapshot.MOST
