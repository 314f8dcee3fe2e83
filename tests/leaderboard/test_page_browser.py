"""The leaderboard's page in a real browser: it sorts, filters, points and opens records, by mouse
and by keyboard, says nothing on the console and asks no network."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluation.records import read_records
from leaderboard.html import page
from leaderboard.published.results import published
from leaderboard.tables.build import compare
from tests.leaderboard import example_results

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ["disable-background-networking", "disable-component-update", "disable-sync"]
FLAGS = [f"--{flag}" for flag in ("no-sandbox", "disable-gpu", "no-first-run", *QUIET)]
ALGOS = ("ar", "mdlm", "gidd")
MARKS = '[role="graphics-symbol"][aria-roledescription="point"]'


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="the package playwright is missing")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing")
    with api.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two corpora, of which one is in the papers, and a record that was set aside."""
    folder = tmp_path_factory.mktemp("results")
    example_results.write(folder, ALGOS, seeds=(1, 2), steps=(8, 16, 32))
    texts = {"data": "openwebtext", "tokenizer": "gpt2", "length": 1024}
    example_results.write(folder, ("ar", "mdlm"), seeds=(1,), steps=(16,), **texts)
    records, problems = read_records(folder)
    shutil.rmtree(folder / "samples")
    tables = compare(records, papers=published())
    aside = [*problems, "half.json: not JSON, or half-written <b>"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "write_charts", lambda *_: [])  # their files have tests of their own
        yield page.write_page(folder / "leaderboard", tables, records, published(), aside)[0]


@pytest.fixture
def opened(browser: Any, file: Path) -> Iterator[Any]:
    """The page; at the end, no complaint of the browser and no request but the page's own."""
    view = browser.new_page(viewport={"width": 1280, "height": 900})
    complaints: list[str] = []
    requests: list[str] = []
    view.on("console", lambda message: complaints.append(message.text))
    view.on("pageerror", lambda error: complaints.append(str(error)))
    view.on("request", lambda request: requests.append(request.url))
    view.goto(file.as_uri())
    view.locator("body[data-drawn]").wait_for()
    yield view
    view.wait_for_timeout(50)
    view.close()
    assert complaints == []
    assert requests == [file.as_uri()]


def table(view: Any, words: str) -> Any:
    return view.locator(f'.block[data-words*="{words}"]')


def column(block: Any, number: int) -> list[str]:
    cells = block.locator(f"tbody tr:not([hidden]) > :nth-child({number})")
    return [text.strip() for text in cells.all_text_contents()]


def value(words: str) -> float:
    return float(words.removeprefix("≤ "))


def settle(found: Any, count: int) -> None:
    """Waits until there are so many; the page's policy allows no condition in JavaScript."""
    found.nth(count - 1).wait_for(state="attached")
    found.nth(count).wait_for(state="detached")


def records(view: Any) -> Any:
    view.locator("#records summary").click()
    return view.locator("#records")


def figure(view: Any, key: str) -> Any:
    return view.locator(f'figure[data-figure="{key}"]')


def test_columns_sort_by_number_and_back(opened: Any) -> None:
    block = records(opened)
    before, values = column(block, 1), column(block, 4)
    head = block.locator("thead th").nth(3)
    assert head.get_attribute("aria-sort") == "none"
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(block, 4) == sorted(values, key=value)
    plain = [words.removeprefix("≤ ") for words in values]
    assert sorted(plain) != sorted(plain, key=float), "else the order of letters would do"
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert column(block, 4) == sorted(values, key=value, reverse=True)
    head.locator("button").press(" ")
    assert head.get_attribute("aria-sort") == "none" and column(block, 1) == before


def test_a_bound_sorts_by_its_number_and_nothing_comes_last(opened: Any) -> None:
    block = table(opened, "stdlib: perplexity").first
    perplexities = column(block, 2)
    assert [text.startswith("≤") for text in perplexities] == [False, True, True]
    assert all(" ± " in text for text in perplexities)
    heads = block.locator("thead th")
    heads.nth(1).locator("button").click()
    heads.nth(1).locator("button").click()
    assert column(block, 1) == ["gidd", "mdlm", "ar"]
    rows = records(opened)
    steps = rows.locator("thead th").nth(7)
    for _ in range(2):  # upwards and downwards
        steps.locator("button").click()
        shown = column(rows, 8)
        assert shown[-1] == "" and shown[0] != ""


def test_filters_reach_tables_and_charts(opened: Any) -> None:
    block, chart = records(opened), figure(opened, "frontier")
    every = chart.locator(MARKS).count()
    assert every == 14 and len(column(block, 1)) == 24
    opened.select_option("#algo", "gidd")
    assert set(column(block, 1)) == {"gidd"}
    assert opened.text_content("#shown") != ""
    settle(chart.locator(MARKS), 6)
    opened.click("#filter button")
    settle(chart.locator(MARKS), every)
    opened.select_option("#corpus", "openwebtext")
    assert set(column(block, 3)) == {"openwebtext"}
    assert table(opened, "stdlib: perplexity").first.is_hidden()
    assert table(opened, "openwebtext: perplexity").first.is_visible()
    opened.click("#filter button")
    settle(block.locator("tbody tr:not([hidden])"), 24)
    assert len(column(block, 1)) == 24 and table(opened, "stdlib: perplexity").first.is_visible()


def test_words_filter_by_all_of_them(opened: Any) -> None:
    rows = records(opened)
    opened.keyboard.press("/")
    opened.keyboard.type("OPENWEB mdlm estimate")
    assert column(rows, 2) == ["samples"]
    assert opened.text_content("#shown").split(" of ")[0].isdigit()
    opened.fill("#words", "no such words")
    assert opened.locator("#records .block").is_hidden()
    assert opened.text_content("#shown").startswith("0 of ")


def test_a_point_says_its_numbers_and_leads_to_its_record(opened: Any) -> None:
    point = figure(opened, "frontier").locator(MARKS).first
    point.scroll_into_view_if_needed()
    assert opened.locator("#tip").is_hidden()
    point.hover()
    said = opened.locator("#tip").text_content()
    for words in ("generative perplexity", "entropy", "stdlib", "algorithm"):
        assert words in said
    opened.mouse.move(5, 5)
    opened.locator("#tip").wait_for(state="hidden")
    point.click()
    opened.locator("#record[open]").wait_for()
    assert opened.url.split("#")[1].startswith("record-")
    assert "samples on stdlib" in opened.text_content("#record-title")
    opened.keyboard.press("Escape")
    opened.locator("#record").wait_for(state="hidden")
    opened.wait_for_function("() => !location.hash")


def test_a_row_leads_to_its_record_by_keyboard(opened: Any, file: Path) -> None:
    link = table(opened, "stdlib: perplexity").first.locator("a[data-record]").first
    link.focus()
    opened.keyboard.press("Enter")
    opened.locator("#record[open]").wait_for()
    fields = opened.text_content("#record-fields")
    for words in ("protocol.packing", "training.checkpoint digest", "wall time s"):
        assert words in fields
    record = file.parent / opened.get_attribute("#record-file", "href")
    assert record.resolve().is_file() and record.suffix == ".json"
    assert opened.evaluate("document.activeElement.closest('dialog') !== null")
    opened.click("#close")
    assert opened.locator("#record").is_hidden()


def test_choices_change_the_chart_its_files_and_its_numbers(opened: Any) -> None:
    chart = figure(opened, "curves")
    chart.locator("summary").click()
    assert "training steps" in chart.locator("thead").text_content()
    chart.get_by_label("tokens").check()
    chart.locator("svg:has-text('training tokens')").wait_for()
    chart.locator("thead:has-text('training tokens')").wait_for()
    assert chart.locator("tbody tr").count() == 6
    chart.locator("select").select_option(index=1)
    settle(chart.locator("tbody tr"), 2)
    names = [link.get_attribute("href") for link in chart.locator(".files a").all()]
    assert [name.rpartition(".")[2] for name in names] == ["png", "svg", "pdf"]
    assert all(name.startswith("charts/curves-tokens-openwebtext") for name in names)


def test_published_numbers_stand_beside_ours(opened: Any) -> None:
    chart = figure(opened, "perplexity")
    assert "openwebtext" in chart.locator("select").input_value()
    assert chart.locator('svg:has-text("published")').count() == 1
    opened.locator("#published summary").first.click()
    source = opened.locator("#published a[rel~=external]").first
    assert source.get_attribute("href").startswith("https://arxiv.org/abs/")


@pytest.mark.parametrize("width", [1440, 390])
def test_no_table_overflows(browser: Any, file: Path, width: int) -> None:
    view = browser.new_page(viewport={"width": width, "height": 900})
    view.goto(file.as_uri())
    view.locator("body[data-drawn]").wait_for()
    view.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
    view.locator("figure tbody tr").first.wait_for(state="attached")
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    wide = "[...document.querySelectorAll('.frame')].filter(f => f.scrollWidth > f.clientWidth + 1)"
    assert view.evaluate(f"{wide}.map(frame => frame.getAttribute('aria-label'))") == []
    view.close()


def test_first_screen_is_the_answer(opened: Any) -> None:
    said = opened.text_content(".answer")
    assert said.startswith("mdlm") and "among 2 diffusion runs on stdlib" in said
    rows = table(opened, "stdlib: perplexity").first.locator("tbody tr")
    assert rows.last.bounding_box()["y"] < 900
    assert rows.locator("svg.share").count() == rows.count() == 3
    assert opened.locator("main figure").first.bounding_box()["y"] < 900


def test_a_sample_opens_within_its_folds(browser: Any, tmp_path: Path) -> None:
    example_results.write(tmp_path, ("mdlm",), seeds=(1,), steps=(8,))
    records, _ = read_records(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "write_charts", lambda *_: [])
        path, _ = page.write_page(tmp_path / "board", compare(records), records, (), [])
    view = browser.new_page()
    view.goto(path.as_uri())
    assert view.locator("#samples pre").first.is_hidden() and view.locator("#filter").is_hidden()
    view.locator("#answer td a", has_text="texts").click()
    view.locator("#samples pre").first.wait_for(state="visible")
    view.close()


def test_page_is_readable_in_light_dark_and_print(browser: Any, file: Path) -> None:
    papers = []
    for scheme in ("light", "dark"):
        view = browser.new_page(viewport={"width": 360, "height": 700}, color_scheme=scheme)
        view.goto(file.as_uri())
        view.locator("body[data-drawn]").wait_for()
        assert view.evaluate("document.documentElement.scrollWidth") <= 360
        inside = "[...document.querySelectorAll('.chart svg')].every(s => s.clientWidth <= 360)"
        assert view.evaluate(inside)
        papers.append(view.evaluate("getComputedStyle(document.body).backgroundColor"))
        view.close()
    assert papers[0] == "rgb(255, 255, 255)" and papers[1] != papers[0]
    view = browser.new_page()
    view.emulate_media(media="print")
    view.goto(file.as_uri())
    assert view.locator("#filter").is_hidden() and view.locator("#answer table").first.is_visible()
    view.close()


def test_what_was_set_aside_is_said_in_its_own_words(opened: Any) -> None:
    first, *files = opened.locator(".aside li").all_text_contents()
    assert first == "half.json: not JSON, or half-written <b>"
    assert all("no samples to read" in line for line in files)  # of examples without such files
