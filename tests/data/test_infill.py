"""Prompts, gaps and files of tasks: where the tokens stand, and every refusal."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from data.infill import InfillTask, read_tasks
from data.prompts import check_tasks_early
from data.tokenizers import Tokenizer, make_tokenizer
from tests.data import kinds

TOKENIZERS = Path(__file__).resolve().parents[2].parent / "shared" / "tokenizers"
BOS, MASK = 256, 257  # of the tokenizer `bytes`
Read = Callable[..., list[InfillTask]]


def options(**given: Any) -> Any:
    return SimpleNamespace(
        **{"prompt": None, "infill": None, "tasks": None, "length": None} | given
    )


@pytest.fixture
def tokenizer() -> Tokenizer:
    return make_tokenizer("bytes")


@pytest.fixture
def read(tokenizer: Tokenizer) -> Read:
    def call(prefixes_only: bool = False, begins: tuple = (BOS,), **given: Any) -> list[InfillTask]:
        return read_tasks(options(**given), tokenizer, list(begins), 16, prefixes_only)

    return call


@pytest.fixture
def lines(tmp_path: Path) -> Callable[..., Path]:
    def write(*rows: Any) -> Path:
        file = tmp_path / "tasks.jsonl"
        texts = (row if isinstance(row, str) else json.dumps(row) for row in rows)
        file.write_text("\n".join(texts), encoding="utf-8")
        return file

    return write


def drawn(task: InfillTask) -> str:
    """The text with a dot for what is drawn and a hat for BOS; checks the rest of the task."""
    assert len(task.tokens) == len(task.fixed)
    assert all((token == MASK) != fixed for token, fixed in zip(*task[:2], strict=True))
    return "".join({BOS: "^", MASK: "."}.get(i) or chr(i) for i in task.tokens)


def test_read_tasks_of_a_prompt_stand_behind_bos(read: Read) -> None:
    assert [drawn(task) for task in read(prompt="Once")] == ["^Once..........."]
    assert [drawn(task) for task in read(prompt="Once", length=8)] == ["^Once..."]
    assert [drawn(task) for task in read(prompt="", length=4, begins=())] == ["...."]


@pytest.mark.parametrize(
    ("infill", "expected"),
    [
        ("[...]", "^..............."),
        ("a[...]bc[...]", "^a......bc......"),
        ("a[...]b[...]c", "^a......b......c"),
        ("a[...]bcd[...]e", "^a.....bcd.....e"),
        ("ab[...]c[...]de", "^ab.....c.....de"),
        ("a[...]b[...]cd", "^a......b.....cd"),  # the first takes what is left over
        ("a[...2]b", "^a..b"),  # every gap says its tokens: so long, and no longer
        ("a[...2]b[...]c", "^a..b..........c"),
        ("[...][...1]x", "^..............x"),
        (r"a\[...] [...3]", "^a[...] ..."),
        (r"a\\[...1]", "^a\\."),
        (r"a\\\[...9] [...1]", "^a\\[...9] ."),
        (r"\a[..][...1]", "^\\a[..]."),
    ],
)
def test_read_tasks_shares_the_length_among_gaps(read: Read, infill: str, expected: str) -> None:
    assert [drawn(task) for task in read(infill=infill)] == [expected]


def test_read_tasks_of_a_file_of_all_kinds(read: Read, lines: Callable[..., Path]) -> None:
    file = lines(
        {"prompt": "Once", "id": "first"},
        "",
        {"prompt": "a", "suffix": "z", "length": 6, "id": 2},
        {"infill": "a[...]z", "length": 5},
        {"tokens": [65, None, 66]},
        {"tokens": [BOS, 65], "length": 4},
        "\ufeff" + json.dumps({"prompt": "ä"}),
    )
    made = read(tasks=str(file), length=9)
    assert [drawn(task) for task in made] == [
        "^Once....",
        "^a...z",
        "^a..z",
        "^A.B",
        "^A..",
        "^Ã¤......",
    ]
    assert [task.name for task in made] == ["first", 2, None, None, None, None]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "needs one of sampling.prompt, sampling.infill, sampling.tasks"),
        ({"prompt": "a", "infill": "[...]"}, "sampling.prompt and sampling.infill: give only one"),
        ({"prompt": "x" * 16}, "17 tokens with BOS and 1 or more to draw, at most 16 are allowed"),
        ({"prompt": "x" * 15}, "16 tokens with BOS and 1 or more to draw, at most 16 are allowed"),
        ({"prompt": 5}, "sampling.prompt=5: must be a text, not of type int"),
        ({"prompt": "a\udcff"}, "holds bytes that are no UTF-8 text"),
        ({"infill": "The cat"}, "sampling.infill='The cat': there is no gap in it"),
        ({"infill": r"a\[...]"}, "there is no gap in it"),
        ({"infill": "a[...0]"}, "the gap [...0] has no token"),
        ({"infill": "a[...]b[...]" + "c" * 12}, "15 tokens with BOS and 2 or more to draw"),
        ({"infill": "a[...15]"}, "17 tokens with BOS, at most 16 are allowed in all"),
    ],
)
def test_read_tasks_refuses_by_name(read: Read, given: dict, said: str) -> None:
    with pytest.raises(ValueError) as refusal:
        read(**given)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "not JSON"),
        ([1], "must be a JSON object"),
        ({"promt": "a"}, "unknown key 'promt'; known: id, infill, length, prompt, suffix, tokens"),
        ({"id": 1}, "it has none of them"),
        ({"suffix": "a"}, "it has suffix"),
        ({"prompt": "a", "infill": "b[...]"}, "it has infill, prompt"),
        ({"prompt": 3}, ", prompt: must be a text"),
        ({"infill": "a"}, "there is no gap"),
        ({"prompt": "a", "length": 1.5}, "length=1.5 must be a whole number of at least 2"),
        ({"prompt": "a", "length": 17}, "length=17: at most 16 tokens can be drawn"),
        ({"prompt": "a", "id": [1]}, "id=[1] must be a text or a whole number"),
        ({"infill": "a[...2]", "length": 9}, "makes 4 tokens with BOS, not length=9"),
        ({"tokens": "ab"}, "tokens must be a list"),
        ({"tokens": [True]}, "tokens must be a list of token ids"),
        ({"tokens": [1, MASK, None]}, "token 257 at position 1 is not from 0 to 256"),
        ({"tokens": [-1, None]}, "token -1 at position 0 is not from 0 to 256"),
        ({"tokens": [1, 2]}, "every token is given"),
        ({"tokens": [None] * 16}, "17 tokens with BOS, at most 16 are allowed"),
    ],
)
def test_read_tasks_refuses_a_line_by_its_number(
    read: Read, lines: Callable[..., Path], row: Any, said: str
) -> None:
    file = lines({"prompt": "fine"}, "", row)
    with pytest.raises(ValueError) as refusal:
        read(tasks=str(file))
    assert str(refusal.value).startswith(f"sampling.tasks={file} line 3")
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_read_tasks_refuses_files_of_none(lines: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.jsonl: there is no such file"):
        check_tasks_early(options(tasks=str(tmp_path / "no.jsonl")))
    with pytest.raises(ValueError, match="there is no task in it"):
        check_tasks_early(options(tasks=str(lines("", " "))))
    (tmp_path / "deep.jsonl").write_text('{"prompt":' * 10**5)
    with pytest.raises(ValueError, match="line 1: not JSON"):
        check_tasks_early(options(tasks=str(tmp_path / "deep.jsonl")))
    check_tasks_early(options())


def test_read_tasks_of_prefixes_only(read: Read, lines: Callable[..., Path]) -> None:
    file = lines({"prompt": "a", "suffix": ""}, {"infill": "ab[...2]"}, {"tokens": [65, None]})
    made = [drawn(task) for task in read(True, tasks=str(file), length=5)]
    assert made == ["^a...", "^ab..", "^A."]
    for row in ({"prompt": "a", "suffix": "z"}, {"tokens": [None, 65]}, {"infill": "[...]a"}):
        with pytest.raises(ValueError, match="line 1: algo=ar takes prefixes only"):
            read(True, tasks=str(lines(row)))
    with pytest.raises(ValueError, match="algo=ar needs a token to begin with"):
        read(True, prompt="", begins=())


def test_read_tasks_refuses_characters_without_a_token(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match=r"sampling\.prompt='Ab': .*no id for the character 'A'"):
        read_tasks(options(prompt="Ab"), make_tokenizer("text8"), [27], 16, False)
    if not TOKENIZERS.is_dir():
        pytest.skip("the folder shared/tokenizers is not beside the repository")
    bert = make_tokenizer(str(TOKENIZERS / "bert-base-uncased"))
    with pytest.raises(ValueError, match=r"no token of .* stands for '\U0001f642'"):
        read_tasks(options(prompt="so \U0001f642 far"), bert, [bert.bos], 16, False)
    (task,) = read_tasks(options(infill="the [...4] [MASK]."), bert, [bert.bos], 16, False)
    assert task.tokens.count(bert.vocab_size) == 4  # text that spells the mask is plain text


@pytest.mark.parametrize("name", kinds.FAITHFUL)
@pytest.mark.parametrize(
    ("infill", "read"),
    [
        ("ab[...1]cd[...1]. a", "abXcdX. a"),
        ("ab [...1] cd", "ab X cd"),
        (" ab[...1]", " abX"),
        ("[...1]ab ", "Xab "),
    ],
)
def test_infill_texts_decode_as_they_were_typed(name: str, infill: str, read: str) -> None:
    tokenizer = kinds.tokenizer(kinds.FAITHFUL[name]())
    (task,) = read_tasks(options(infill=infill), tokenizer, [tokenizer.bos], 64, False)
    letter = tokenizer.encode_within("f").tolist()
    assert len(letter) == 1
    ids = [letter[0] if token == tokenizer.vocab_size else token for token in task.tokens]
    assert tokenizer.decode(ids) == read.replace("X", "f")


def test_prompt_and_suffix_decode_as_they_were_typed(tmp_path: Path) -> None:
    tokenizer = kinds.tokenizer(kinds.metaspace("always"))
    file = tmp_path / "tasks.jsonl"
    file.write_text('{"prompt": "ab", "suffix": "cd", "length": 9}\n')
    (task,) = read_tasks(options(tasks=str(file)), tokenizer, [tokenizer.bos], 64, False)
    shown = [token for token in task.tokens if token != tokenizer.vocab_size]
    assert tokenizer.decode(shown) == "abcd"
