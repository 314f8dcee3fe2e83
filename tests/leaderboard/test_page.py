"""The page as a file: whole, alone, faithful to what records say, and small."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from evaluation.records import read_records, write_record
from leaderboard.html import page as page_room
from leaderboard.html.samples import LETTERS
from leaderboard.html.tables import Cell, Grid, Header, Line
from leaderboard.tables.build import compare
from tests.leaderboard import example_results

FEW = {"algos": ("ar", "mdlm"), "seeds": (1,), "steps": (8,)}


class Parts(HTMLParser):
    """Tags with their attributes."""

    def __init__(self, content: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))


def data(content: str) -> dict:
    found = re.search(r'id="data">(.*?)</script>', content, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def write(folder: Path, problems=()) -> tuple[Path, str]:
    records, found = read_records(folder)
    board = folder / "leaderboard"
    path, _ = page_room.write_page(board, compare(records), records, (), [*found, *problems])
    return path, path.read_text("utf-8")


@pytest.fixture
def no_charts(monkeypatch):
    """Charts are in the page, but no files are made of them."""
    monkeypatch.setattr(page_room, "write_charts", lambda *_: [])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small page, its content, and its folder."""
    folder = tmp_path_factory.mktemp("results")
    example_results.write(folder, **FEW)
    (folder / "half.json").write_text('{"schema": 2, "metric"')
    (folder / "leaderboard" / "charts").mkdir(parents=True)
    (folder / "leaderboard" / "charts" / "frontier-of-old.png").write_bytes(b"old")
    (folder / "leaderboard" / "charts" / "mine.png").write_bytes(b"mine")
    return *write(folder), folder


def test_the_page_asks_for_nothing_else(made):
    parts = Parts(made[1])
    for tag, attributes in parts.tags:
        assert "src" not in attributes, tag
        assert tag != "link" or attributes["href"].startswith("data:")
        if tag == "a" and "://" in attributes.get("href", ""):
            assert attributes["rel"].split() == ["external", "noreferrer"]
    assert "@import" not in made[1].split("</style>")[0]


def test_its_policy_allows_its_own_scripts_and_style_alone(made):
    policies = [a["content"] for _, a in Parts(made[1]).tags if a.get("http-equiv")]
    (policy,) = policies
    assert "default-src 'none'" in policy and "unsafe" not in policy
    scripts = re.findall(r"<script>(.*?)</script>", made[1], re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", made[1], re.DOTALL)
    hashes = {
        base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()
        for one in [*scripts, style]
    }
    assert len(scripts) == 2 and set(re.findall(r"'sha256-(.*?)'", policy)) == hashes


def test_every_row_leads_to_its_records(made):
    path, content, folder = made
    files = {file.name for file in folder.glob("*.json")} - {"half.json"}
    links = [a for tag, a in Parts(content).tags if tag == "a" and "data-record" in a]
    assert {(path.parent / link["href"]).resolve().name for link in links} == files
    for link in links:
        assert data(content)["records"][int(link["data-record"])]["file"] == link["href"]


def test_what_is_no_record_is_named_with_its_reason(made):
    assert re.search(r"<li>[^<]*half\.json: not JSON, or half-written", made[1])


def test_every_view_has_its_files(made):
    views = [view for one in data(made[1])["figures"].values() for view in one["views"]]
    names = [f"{view['file']}.{kind}" for view in views for kind in ("png", "svg", "pdf")]
    assert len(set(names)) == len(names) == 3 * 9
    assert all((made[0].parent / name).stat().st_size > 1000 for name in names)


def test_charts_that_nothing_shows_go_and_other_files_stay(made):
    charts = made[0].parent / "charts"
    assert not (charts / "frontier-of-old.png").exists()
    assert (charts / "mine.png").read_bytes() == b"mine"
    assert not list(made[0].parent.rglob(".*"))


def test_samples_are_text_whatever_they_say(made):
    content = made[1]
    assert "<script>alert" not in content and "&lt;script&gt;alert" in content
    assert "\x00" not in content and "\u2400" in content and "\u241b" in content
    assert f"the first {LETTERS:,} of " in content


def test_samples_that_are_gone_or_others_are_named(tmp_path, no_charts):
    example_results.write(tmp_path, **FEW)
    gone, other = sorted((tmp_path / "samples").iterdir())
    gone.unlink()
    other.write_text('{"samples": [{"text": "of somebody else"}]}')
    _, content = write(tmp_path)
    assert 'id="samples"' not in content
    assert f"{gone.name}: No such file or directory" in content
    assert f"{other.name}: edited: its contents have the digest" in content


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"samples": [1]}', b"\xff", b"[" * 100_000])
def test_what_is_no_samples_file_is_named(tmp_path, no_charts, make_fields, content):
    file = tmp_path / f"{hashlib.sha256(content).hexdigest()[:8]}.json"
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / file.name).write_bytes(content)
    write_record(
        tmp_path, make_fields(metric="samples", metrics={"samples": f"samples/{file.name}"})
    )
    assert f"no samples to read: samples/{file.name}: " in write(tmp_path)[1]


def test_an_edited_curve_is_named_and_not_drawn(tmp_path, no_charts):
    example_results.write(tmp_path, **FEW)
    for file in (tmp_path / "curves").iterdir():
        file.write_text(file.read_text() + "2000,1,1,0.1\n")
    _, content = write(tmp_path)
    assert content.count("its learning curve is not drawn") == 2
    assert 'data-figure="curves"' not in content


def test_names_from_records_are_only_words(tmp_path, make_fields, no_charts):
    hostile = "</script><img src=x onerror=alert(1)>@data@"
    write_record(tmp_path, make_fields(algo=hostile, metrics={"curve": None}))
    _, content = write(tmp_path)
    assert "<img src=x" not in content and "&lt;img src=x" in content
    assert [tag for tag, _ in Parts(content).tags].count("script") == 3
    assert "img" not in {tag for tag, _ in Parts(content).tags}


def test_many_records_make_a_small_page(tmp_path, no_charts):
    example_results.write(tmp_path, seeds=range(1, 10), steps=(2, 4, 8, 16, 32, 64, 128))
    records, _ = read_records(tmp_path)
    assert len(records) > 500
    path, content = write(tmp_path)
    own = path.stat().st_size - len(page_room.library().encode())
    assert own < 5_000_000
    assert content.count("data-row=") > len(records)


def macro(name):
    return getattr(page_room.environment().get_template("macros.html").module, name)


def test_templates_say_exactly_the_words():
    text = page_room.environment().from_string("{{ words }}")
    assert text.render(words='<a href="x">&\x1b\ud800') == (
        "&lt;a href=&#34;x&#34;&gt;&amp;\u241b\ufffd"
    )


def test_grid_names_rows_and_keeps_numbers_beside_words():
    cells = [Cell("mdlm"), Cell("≤ 9.5 ± 0.1", 9.51, kind="best"), Cell("")]
    headers = [Header("algorithm"), Header("perplexity", "of <text>"), Header("nothing")]
    made = macro("grid_table")(Grid("All", headers, [Line(cells, "mdlm", "x")]))
    assert '<th scope="row" class="words" data-label="algorithm">mdlm</th>' in made
    assert '<td class="best" data-n="9.51" data-label="perplexity">≤ 9.5 ± 0.1</td>' in made
    assert '<button type="button" title="of &lt;text&gt;">perplexity</button>' in made
    assert "nothing" not in made


def test_page_answers_who_leads_diffusion(board, algorithm):
    def answer(*changes):
        (table,) = [one for one in compare(board(*changes)) if one.kind == "perplexity"]
        return page_room.answer(table)

    ar, mdlm = algorithm("ar", 10.0, 0.0, kind="exact"), algorithm("mdlm", 12.0)
    assert answer(mdlm) == (
        "mdlm leads as the only diffusion run on wikitext103: perplexity ≤ 12.000 ± 0.010."
    )
    assert answer(ar, algorithm("duo", 12.01), algorithm("sedd", 15.0)) == (
        "mdlm and duo share the lead among 3 diffusion runs on wikitext103: perplexity "
        "≤ 12.000 ± 0.010, at most 1.200x that of AR."
    )


def test_page_folds_equal_columns_and_draws_bars(made):
    content = made[1].split('id="results"')[0]
    assert re.search(r'<svg class="share".*?<rect width="[\d.]+" height="4"/>', content)
    rows = re.findall(r"<tr data-row.*?</tr>", content, re.DOTALL)
    assert len(rows) == 2 and "baseline" in rows[0] and not re.search(r'<td class="best"', content)
    assert 'title="perplexity divided by that of AR"' in content


def test_samples_are_a_click_away_and_lead_to_their_trajectories(tmp_path, no_charts):
    example_results.write(tmp_path, **FEW)
    for file in (tmp_path / "samples").iterdir():
        file.with_suffix(".html").write_text("a page that plays")
    path, content = write(tmp_path)
    parts = Parts(content)
    ids = {a["id"] for _, a in parts.tags if "id" in a}
    texts = [a["href"][1:] for tag, a in parts.tags if "#samples-" in a.get("href", "")]
    assert texts and set(texts) <= ids
    assert content.index('href="#samples-') < content.index('id="results"')
    pages = [a["href"] for tag, a in parts.tags if "samples/" in a.get("href", "")]
    assert len(pages) == 2 and all((path.parent / page).is_file() for page in pages)


@pytest.mark.parametrize(("seeds", "hidden"), [(range(5), True), (range(6), False)])
def test_filters_are_for_more_than_twenty_rows(tmp_path, no_charts, seeds, hidden):
    example_results.write(tmp_path, ("ar", "mdlm"), seeds=seeds, steps=(8,))
    (form,) = [a for tag, a in Parts(write(tmp_path)[1]).tags if tag == "form"]
    assert ("hidden" in form) == hidden
