"""Tokenizing that is refused in a worker, loses a worker, or is stopped by a signal."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from data.encode import encode_documents
from data.pool import answer
from data.tokenizers import make_tokenizer

ROOT = Path(__file__).resolve().parents[2]
ENDLESS = """
    import itertools, signal, sys
    from pathlib import Path
    import data.corpora
    from data.build import build_or_open
    from data.tokenizers import make_tokenizer

    class Endless(data.corpora.TextCorpus):
        def documents(self, split):
            return itertools.repeat("text without an end " * 1000)

    if __name__ == "__main__":
        # Whoever minds signals already, such as a trainer, would not end this work.
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, lambda number, frame: None)
        corpus = Endless(sys.argv[3], None, "text", "tail", 0.1)
        count = int(sys.argv[2])
        build_or_open(Path(sys.argv[1]), corpus, "train", make_tokenizer("bytes"), True, count)
"""


@pytest.mark.parametrize("num_proc", [1, 2])
def test_a_refusal_is_the_same_line_from_any_worker(num_proc: int) -> None:
    with pytest.raises(ValueError, match=r"^data\.tokenizer_name_or_path='text8': no id") as caught:
        list(encode_documents(["Upper Case"], make_tokenizer("text8"), num_proc))
    last = list(caught.traceback)[-1].path
    assert Path(last).resolve().is_relative_to(ROOT / "data")


def test_a_fault_of_the_program_is_no_refusal() -> None:
    class Faulty:
        unknown = None

        def cut(self, text: str, start: int) -> None: ...

        def encode_batch(self, texts: list[str]) -> None:
            int("none")

    with pytest.raises(ValueError, match="invalid literal") as caught:
        list(encode_documents(["text"], Faulty(), 1))  # type: ignore[arg-type]
    assert Path(list(caught.traceback)[-1].path).name == Path(__file__).name


def test_a_panic_of_the_library_is_no_hang() -> None:
    class Panic(BaseException): ...

    class Panicking:
        def cut(self, text: str, start: int) -> None: ...

        def encode_batch(self, texts: list[str]) -> None:
            raise Panic("index out of bounds")

    with pytest.raises(RuntimeError, match="Panic: index out of bounds"):
        list(encode_documents(["text"], Panicking(), 1))  # type: ignore[arg-type]


def test_a_worker_that_was_killed_is_said_in_a_line() -> None:
    future: Future[str] = Future()
    future.set_exception(BrokenProcessPool("A process was terminated abruptly"))
    with pytest.raises(OSError, match=r"^data\.num_proc: a process .* was ended from outside"):
        answer(future.result)


@pytest.fixture
def endless(
    tmp_path: Path, text_file: Path, request: pytest.FixtureRequest
) -> Iterator[subprocess.Popen[str]]:
    script = tmp_path / "endless.py"
    script.write_text(textwrap.dedent(ENDLESS))
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "cache"), str(request.param), str(text_file)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("endless", [1, 2], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_group_ends_it_and_leaves_nothing(
    endless: subprocess.Popen[str], number: signal.Signals, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    while not any(file.stat().st_size for file in cache.glob(".*.partial/tokens.bin")):
        assert endless.poll() is None
        time.sleep(0.02)
    os.killpg(endless.pid, number)
    _, said = endless.communicate(timeout=20)
    assert endless.returncode == 128 + number
    assert said.splitlines()[-1] == (
        f"tokenizing train: stopped by {number.name}, nothing is kept of it"
    )
    assert "Traceback" not in said and list(cache.glob("*")) == []
