"""Builds of other processes: killed in the middle, or several at once."""

import subprocess
import sys
import textwrap
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from data.build import build_or_open
from data.corpora import TextCorpus
from data.store import open_store
from data.tokenizers import make_tokenizer
from tests.processes import started, wait_until

ROOT = Path(__file__).resolve().parents[2]

SLOW_BUILD = """
    import sys, time
    from pathlib import Path
    import data.corpora
    from data.build import build_or_open
    from data.tokenizers import make_tokenizer

    class Slow(data.corpora.TextCorpus):
        def documents(self, split):
            for text in super().documents(split):
                yield text
                time.sleep(float(sys.argv[3]))
            print("read", flush=True)

    corpus = Slow(sys.argv[1], sys.argv[1], "text", "tail", 0.1)
    store = build_or_open(Path(sys.argv[2]), corpus, "train", make_tokenizer("bytes"), True, 1)
    print(store.tokens.sum(), flush=True)
"""


def building(text: Path, cache: Path, pause: float) -> AbstractContextManager[subprocess.Popen]:
    return started(
        [sys.executable, "-c", textwrap.dedent(SLOW_BUILD), str(text), str(cache), str(pause)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def folder_of_texts(tmp_path: Path, count: int) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:03d}.txt").write_text(f"text number {number}")
    return folder


def test_a_killed_build_is_never_taken_for_whole(tmp_path: Path) -> None:
    texts, cache = folder_of_texts(tmp_path, 50), tmp_path / "cache"
    with building(texts, cache, pause=60) as process:
        wait_until(lambda: list(cache.glob(".*.partial/tokens.bin")), process)
    assert list(cache.glob(".*.partial"))
    corpus = TextCorpus(str(texts), str(texts), "text", "tail", 0.1)
    store = build_or_open(cache, corpus, "train", make_tokenizer("bytes"), True, 1)
    assert store.meta["documents"] == 50
    assert not list(cache.glob(".*.partial"))
    assert open_store(store.folder, store.meta["fields"]) is not None


def test_concurrent_builders_build_once(tmp_path: Path) -> None:
    texts, cache = folder_of_texts(tmp_path, 20), tmp_path / "cache"
    with ExitStack() as stack:
        builders = [building(texts, cache, pause=0.05) for _ in range(3)]
        processes = [stack.enter_context(builder) for builder in builders]
        outputs = [process.communicate()[0].split() for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert sorted(map(len, outputs)) == [1, 1, 2]
    assert len({output[-1] for output in outputs}) == 1
