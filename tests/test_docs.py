"""The README and the pages of docs/: their links, names and snippets."""

import importlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from evaluation.fields import METRICS
from leaderboard.table import FIRST, Column
from tests.modes import forked
from tests.modes.conftest import TINY
from tests.test_import_law import ROOMS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()
TABLES = ("cost", "epochs", "oracle", "perplexity", "published", "samples", "time_to_target")
RUN = "outputs/stdlib/mdlm-nano/seed1"


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        file, _, heading = target.partition("#")
        linked = page.parent / file if file else page
        assert linked.is_file(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), flags=re.MULTILINE)
            assert heading in map(anchor, headings), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_of_the_repository_that_pages_name_exist(page: Path) -> None:
    rooms = {folder.parent.name for folder in ROOT.glob("*/__init__.py")}
    for name in re.findall(r"`([\w./-]+\.(?:py|sh|csv))`", page.read_text()):
        if name.split("/")[0] in {*rooms, "tests", "scripts", "benchmarks", "configs", "main.py"}:
            assert (ROOT / name).is_file(), name


def test_readme_is_short() -> None:
    text = PAGES[0].read_text()
    assert len(text.splitlines()) <= 200
    assert len(re.findall(r"!\[", text)) <= 2


def test_readme_says_the_import_law() -> None:
    rows = re.findall(r"^\| `(\w+)/` \|.*\| ([^|]*) \|$", PAGES[0].read_text(), flags=re.MULTILINE)
    stated = {room: set(re.findall(r"`([\w.]+)`", allowed)) for room, allowed in rows}
    assert stated == ROOMS | {"modes": set()}  # which may import all of them


def test_glossary_has_every_metric_of_a_record() -> None:
    defined = set(re.findall(r"`([\w.]+)`", GLOSSARY))
    missing = METRICS.keys() - defined
    assert not missing


def test_glossary_has_every_column_of_the_tables() -> None:
    defined = {
        name.strip()
        for row in re.findall(r"^\| ([^|`]+) \|", GLOSSARY, flags=re.MULTILINE)
        for name in [row, *row.split(",")]
    }
    for kind in TABLES:
        module = importlib.import_module(f"leaderboard.tables.{kind}")
        groups = [value for value in vars(module).values() if isinstance(value, tuple)]
        columns = [one for group in groups for one in group if isinstance(one, Column)]
        assert columns
        assert {column.name for column in columns} <= defined
    assert FIRST in defined


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run and the records that docs/python.md begins with, of a tiny network."""
    folder = tmp_path_factory.mktemp("session")
    (folder / "text.txt").write_text("import numpy as np\ndef square(x):\n    return x * x\n" * 99)
    given = [*TINY, "data.path=text.txt", "data.cache_dir=cache", "results_dir=results"]
    given += ["model.length=32", f"checkpointing.save_dir={RUN}", "eval.passes=2"]
    evaluated = [*given, f"eval.checkpoint_path={RUN}"]
    for arguments in (
        [*given, "mode=train", "algo=mdlm", "trainer.max_steps=8"],
        [*evaluated, "mode=ppl_eval"],
        [*evaluated, "mode=sample_eval"],
    ):
        done = forked.run(arguments, folder, {**os.environ, "OMP_NUM_THREADS": "1"})
        assert done.returncode == 0, done.stderr
    return folder


def test_glossary_has_every_metric_that_commands_write(session: Path) -> None:
    records = [json.loads(file.read_text()) for file in (session / "results").glob("*.json")]
    assert {record["metric"] for record in records} == {"ppl", "samples"}
    for name in {name for record in records for name in record["metrics"]}:
        bare = re.sub(r"^reference_|_(stderr|ci|absent)$", "", name)
        assert f"`{name}`" in GLOSSARY or f"`{bare}`" in GLOSSARY, name


def test_pipeline_page_runs(
    session: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(session)
    page = (ROOT / "docs" / "pipeline.md").read_text()
    (script,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(script, "pipeline.md", "exec"), names)
    assert capsys.readouterr().out.count("nats, 31 tokens: ") == len(names["texts"]) == 4
    assert names["continued"].startswith("import")
    assert names["filled"].startswith("def ") and " = " in names["filled"]


def test_python_page_runs(
    session: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(session)
    page = (ROOT / "docs" / "python.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    names: dict[str, object] = {}
    for number, block in enumerate(blocks, start=1):
        exec(compile(block, f"python.md, block {number}", "exec"), names)
    printed = capsys.readouterr().out
    assert "mdlm 8 steps" in printed and "± " in printed and "18 tokens" in printed
    assert (session / "perplexity.png").is_file()
