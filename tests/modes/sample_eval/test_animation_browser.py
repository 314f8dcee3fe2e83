"""Our pages in a real browser: a trajectory plays and obeys keys and slider, a frontier is drawn,
neither asks a network."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from data.tokenizers import make_tokenizer
from modes.sample_eval.animation import Trajectory, page
from modes.sample_eval.sweep_plot import picture

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ["disable-background-networking", "disable-component-update", "disable-sync"]
FLAGS = [f"--{flag}" for flag in ("no-sandbox", "disable-gpu", "no-first-run", *QUIET)]
TEXT = "The cat </script> said \"日本 🙂\" & left\n\n\tfor  'good' \u2028 <b>so</b>"
STEPS = 24


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
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two samples: one unmasked behind a prompt, one without times that jumps about."""
    tokenizer, rng = make_tokenizer("bytes"), Random(1)
    tokens, mask = list(TEXT.encode()), 257
    order = rng.sample(range(4, len(tokens)), len(tokens) - 4)
    states = []
    for step in range(STEPS + 1):
        hidden = set(order[: len(order) * (STEPS - step) // STEPS])
        states.append([mask if i in hidden else token for i, token in enumerate(tokens)])
    times = [1 - step / STEPS for step in range(STEPS + 1)]
    first = Trajectory(states, times, [i < 4 for i in range(len(tokens))])
    second = Trajectory([[65, 66], [67, 66], [67, 68]], [None] * 3, [False, False])
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(
        page("A <title>", [first, second], tokenizer, {"sampler": "ancestral"}), "utf-8"
    )
    return path


@pytest.fixture
def opened(browser: Any, file: Path) -> Iterator[Any]:
    """The page; at the end, no complaint of the browser and no request but the page's own."""
    view = browser.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    view.on("console", lambda message: complaints.append(message.text))
    view.on("pageerror", lambda error: complaints.append(str(error)))
    view.on("request", lambda request: requests.append(request.url))
    view.goto(file.as_uri())
    yield view
    view.wait_for_timeout(50)
    view.close()
    assert complaints == []
    assert requests == [file.as_uri()]


def status(view: Any) -> str:
    return view.text_content("#status")


def step(view: Any) -> int:
    return int(status(view).split()[1])


def test_page_shows_the_sample_at_the_last_step(opened: Any) -> None:
    assert opened.title() == "A <title>"
    assert "ancestral" in opened.text_content("dl")
    hidden = len(TEXT.encode()) - 4
    assert status(opened).split("  ·  ") == [
        f"step 0 of {STEPS}",
        "t = 1",
        f"{hidden} masked",
        "0 changed",
    ]
    opened.keyboard.press("End")
    assert opened.text_content("#text") == TEXT
    assert status(opened).startswith(f"step {STEPS} of {STEPS}  ·  t = 0  ·  0 masked")
    assert opened.locator("#text .fixed").count() == 4
    assert opened.locator("#text .newline").count() == 2
    assert opened.locator("#text .changed").count() > 0
    assert opened.locator("#text .mask").count() == 0


def test_page_keys_and_slider_move_the_step(opened: Any) -> None:
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowRight")
    assert step(opened) == 2
    shown = opened.inner_html("#text")
    assert opened.locator("#text .mask").count() == int(status(opened).split("·")[2].split()[0])
    opened.keyboard.press("End")
    opened.keyboard.press("ArrowLeft")
    assert step(opened) == STEPS - 1
    opened.keyboard.press("Home")
    assert step(opened) == 0 and opened.locator("#text .changed").count() == 0
    opened.focus("#slider")
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowUp")  # the slider's own
    assert step(opened) == 2 and opened.inner_html("#text") == shown
    opened.fill("#slider", "7")
    assert step(opened) == 7
    assert opened.get_attribute("#slider", "aria-valuetext").startswith(f"step 7 of {STEPS}, t = ")
    for button, expected in (("#next", 8), ("#back", 7), ("#end", STEPS), ("#start", 0)):
        opened.click(button)
        assert step(opened) == expected


def test_page_plays_pauses_and_stops_at_the_end(opened: Any) -> None:
    opened.select_option("#speed", "100")
    opened.click("#play")
    opened.locator("#play:text-is('Pause')").wait_for()
    opened.locator("#play:text-is('Play')").wait_for()
    assert step(opened) == STEPS
    opened.focus("#slider")
    opened.select_option("#speed", "1")
    opened.keyboard.press("Space")  # from the end it begins again
    assert step(opened) == 0 and opened.text_content("#play") == "Pause"
    assert opened.get_attribute("#status", "aria-live") == "off"
    opened.keyboard.press("Space")
    assert opened.text_content("#play") == "Play"
    assert opened.get_attribute("#status", "aria-live") == "polite"


def test_page_presses_a_button_once_by_space(opened: Any) -> None:
    opened.focus("#next")
    opened.keyboard.press("Space")
    assert step(opened) == 1 and opened.text_content("#play") == "Play"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert opened.evaluate(outline) == "solid"


def test_page_has_the_steps_of_every_sample(opened: Any) -> None:
    opened.select_option("#sample", label="2")
    assert status(opened) == "step 0 of 2  ·  0 masked  ·  0 changed"
    opened.click("#next")
    assert opened.text_content("#text") == "CB"
    assert opened.locator("#text .changed").all_text_contents() == ["C"]


def test_page_fits_a_phone_and_the_dark(browser: Any, file: Path) -> None:
    papers = []
    for scheme in ("light", "dark"):
        view = browser.new_page(viewport={"width": 360, "height": 700}, color_scheme=scheme)
        view.goto(file.as_uri())
        assert view.evaluate("document.documentElement.scrollWidth") <= 360
        papers.append(view.evaluate("getComputedStyle(document.body).backgroundColor"))
        view.close()
    assert papers[0] == "rgb(255, 255, 255)" and papers[1] != papers[0]


def test_picture_of_a_sweep_needs_no_network(browser: Any, tmp_path: Path) -> None:
    pytest.importorskip("altair", reason="the package altair is missing")
    measured = {"entropy_stderr": 0.1, "network_evaluations": 8.0, "seconds": 1.0}
    rows = [
        {"steps": n, "gen_ppl": 9.0 - n, "gen_ppl_stderr": 0.1, "entropy": 4.0 - n} | measured
        for n in (1, 2)
    ]
    page = picture(rows, tmp_path, "frontier")[-1]
    view = browser.new_page()
    requests: list[str] = []
    view.on("request", lambda request: requests.append(request.url))
    view.goto(page.as_uri())
    view.locator("canvas, svg.marks").first.wait_for()
    view.close()
    assert requests == [page.as_uri()]
