"""The data and the HTML of a page that plays trajectories."""

import html.parser
import json
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from data.tokenizers import make_tokenizer
from modes.sample_eval.animation import MASKED, Trajectory, data, page
from modes.sample_eval.token_texts import TokenTexts

TOKENIZERS = Path(__file__).resolve().parents[3].parent / "shared" / "tokenizers"
ODD = "</script><!-- \"quoted\" & 'so' \u2028 日本 🙂\n\n\tGröße"
NAMES = ["bytes", "text8", "symbols:30", "gpt2", "bert-base-uncased"]


@pytest.fixture(params=NAMES, scope="module")
def tokenizer(request: pytest.FixtureRequest):
    if ":" in request.param or request.param in ("bytes", "text8"):
        return make_tokenizer(request.param)
    if not TOKENIZERS.is_dir():
        pytest.skip("the folder shared/tokenizers is not beside the repository")
    return make_tokenizer(str(TOKENIZERS / request.param))


class Words:
    """A tokenizer whose tokens are hostile words."""

    words = ("a", "</script>", "<!--<script>", '"', "\u2028", "&amp;", "\\", "@data@", "\ud800")
    vocab_size = len(words)

    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        return "".join([*self.words, "[MASK]"][i] for i in ids)


def noise(tokenizer, count: int, rng: Random) -> list[int]:
    return [rng.randrange(tokenizer.vocab_size) for _ in range(count)]


def revealed(tokens: Sequence[int], mask: int, steps: int, rng: Random) -> Trajectory:
    """States in which ever more of the tokens are seen, the first two from the start."""
    order = rng.sample(range(2, len(tokens)), len(tokens) - 2)
    states = []
    for step in range(steps + 1):
        hidden = set(order[: len(order) * (steps - step) // steps])
        states.append([mask if i in hidden else token for i, token in enumerate(tokens)])
    times = [1 - step / steps for step in range(steps + 1)]
    return Trajectory(states, times, [i < 2 for i in range(len(tokens))])


def replayed(content: dict, number: int = 0) -> list[list[str | None]]:
    """The texts of every state, None for a mask, from what the page holds alone."""
    sample = content["samples"][number]
    shown = list(sample["first"])
    states = [list(shown)]
    for step in sample["steps"]:
        for pairs in step:
            for place, text in zip(pairs[::2], pairs[1::2], strict=True):
                shown[place] = text
        states.append(list(shown))
    return [[None if i == MASKED else content["texts"][i] for i in state] for state in states]


def embedded(content: str) -> dict:
    """The data of a page, as an HTML parser finds it."""
    found: list[str] = []

    class Reader(html.parser.HTMLParser):
        inside = False

        def handle_starttag(self, tag: str, attributes: list) -> None:
            self.inside = ("id", "data") in attributes

        def handle_endtag(self, tag: str) -> None:
            self.inside = False

        def handle_data(self, text: str) -> None:
            if self.inside:
                found.append(text)

    Reader().feed(content)
    return json.loads("".join(found))


def test_token_texts_of_noise_make_its_text(tokenizer) -> None:
    parts, rng = TokenTexts(tokenizer), Random(1)
    for count in (0, 1, 2, 7, 300):
        tokens = noise(tokenizer, count, rng)
        made = parts.parts(tokens)
        assert len(made) == count
        assert "".join(made) == tokenizer.decode(tokens, special=True)


def test_token_texts_of_broken_characters_in_every_order() -> None:
    """Bytes of which most sequences are no UTF-8: leading, following and stray ones."""
    tokenizer, rng = make_tokenizer("bytes"), Random(2)
    parts = TokenTexts(tokenizer)
    for _ in range(500):
        tokens = [rng.choice([0xE6, 0x97, 0xA5, 0xF0, 0x9F, 0xC3, 0x80, 65]) for _ in range(12)]
        assert "".join(parts.parts(tokens)) == tokenizer.decode(tokens)


def test_token_texts_put_a_character_at_its_first_token() -> None:
    parts = TokenTexts(make_tokenizer("bytes"))
    sun, mask = list("日".encode()), 257
    assert parts.parts([65, *sun, 66]) == ["A", "日", "", "", "B"]
    assert parts.parts([sun[0], mask, sun[2]]) == ["\ufffd", "[MASK]", "\ufffd"]


def test_data_replayed_shows_every_state(tokenizer) -> None:
    rng, mask = Random(3), tokenizer.vocab_size
    tokens = noise(tokenizer, 60, rng)
    jumps = [noise(tokenizer, 20, rng)]
    for _ in range(30):
        jumps.append([rng.randrange(mask + 1) if rng.random() < 0.2 else i for i in jumps[-1]])
    made = revealed(tokens, mask, 9, rng)
    content = data([made, Trajectory(jumps, [None] * 31, [False] * 20)], tokenizer)

    parts = TokenTexts(tokenizer)
    for number, states in enumerate((made.states, jumps)):
        expected = [
            [None if i == mask else part for i, part in zip(state, parts.parts(state), strict=True)]
            for state in states
        ]
        assert replayed(content, number) == expected
    first, second = content["samples"]
    assert first["fixed"] == [0, 1]
    assert first["times"][:2] == [1.0, 0.8889] and set(second["times"]) == {None}
    for sample, states in ((first, made.states), (second, jumps)):
        for (own, _), before, after in zip(sample["steps"], states, states[1:], strict=False):
            changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
            assert own[::2] == changed


def test_data_widths_of_masked_positions_are_those_of_their_last_text() -> None:
    tokens = [65, *"日".encode(), 10, 257]
    made = data([Trajectory([[257] * 6, tokens], [1.0, 0.0], [False] * 6)], make_tokenizer("bytes"))
    assert made["samples"][0]["widths"] == [1, 1, 1, 1, 1, 1]
    words = data(
        [Trajectory([[11, 31], [11, 30]], [1.0, 0.0], [0, 0])], make_tokenizer("symbols:30")
    )
    assert words["samples"][0]["widths"] == [2, 14]  # 11, and a space with <|endoftext|>


def test_page_escapes_texts() -> None:
    made = revealed([0, *range(Words.vocab_size)], Words.vocab_size, 4, Random(4))
    content = page(ODD, [made], Words(), {ODD: "@data@"})
    assert replayed(embedded(content))[-1] == ["a", *Words.words]
    assert content.count("</script>") == 2 and "\u2028" not in content.split('id="data"')[1]
    assert "&lt;/script&gt;&lt;!--" in content and "<dd>@data@</dd>" in content


def test_page_names_nothing_outside_itself() -> None:
    content = page("a title", [revealed([1, 2, 3], 257, 2, Random(5))], make_tokenizer("bytes"), {})
    assert "default-src 'none'" in content
    assert not re.search(r"(?:https?:)?//\w|\burl\(|@import|\bsrc=|\bhref=|unsafe-", content)


def test_page_of_a_long_trajectory_stays_small() -> None:
    """A state of 2048 tokens over 1000 steps: the changes, not the states, are stored."""
    made = revealed(noise(make_tokenizer("bytes"), 2048, Random(6)), 257, 1000, Random(7))
    assert len(page("long", [made], make_tokenizer("bytes"), {})) < 120_000
