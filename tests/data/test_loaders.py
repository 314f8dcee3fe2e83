"""Loader processes: they die, their reader dies, a group is signalled; nothing hangs or stays."""

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.loaders import Loader
from data.module import TokenDataModule
from data.packing import DamagedTokens
from data.workers import Workers

Make = Callable[..., TokenDataModule]
ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(60)


def children(process: int) -> set[int]:
    """The loader processes of a process."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            ours = b"data.workers" in (folder / "cmdline").read_bytes()
        except OSError:  # gone meanwhile
            continue
        if parent == process and ours:
            found.add(int(folder.name))
    return found


def wait_until(found: Callable[[], Any]) -> Any:
    for _ in range(500):
        if result := found():
            return result
        time.sleep(0.02)
    raise AssertionError("it did not happen in 10 s")


@pytest.fixture
def loader(make: Make, text_file: Path) -> Iterator[Loader]:
    data = make("text", path=str(text_file), num_workers=2)
    yield data.train_dataloader()


@pytest.mark.parametrize("killed", [0, 1])
def test_a_loader_process_that_dies_ends_the_run_in_a_line(loader: Loader, killed: int) -> None:
    batches = iter(loader)
    next(batches)
    os.kill(sorted(children(os.getpid()))[killed], signal.SIGKILL)
    message = r"loader\.num_workers=2: a loader process ended \(signal SIGKILL\)"
    with pytest.raises(ChildProcessError, match=message) as caught:
        for _ in range(10_000):
            next(batches)
    assert "\n" not in str(caught.value)
    wait_until(lambda: not children(os.getpid()))


def test_a_page_that_was_not_verified_ends_the_run_in_a_line(make: Make, text_file: Path) -> None:
    for workers in (0, 1):
        data = make("text", path=str(text_file), num_workers=workers)
        store = data.store("train")
        file = store.folder / "tokens.bin"
        good = file.read_bytes()
        file.write_bytes(b"\xff" * len(good))
        with pytest.raises(DamagedTokens, match=r"token 65535 of 257.*data\.verify=full"):
            next(iter(data.train_dataloader()))
        file.write_bytes(good)
    store = make("text", path=str(text_file), packing="pad", valid_path=str(text_file)).store(
        "train"
    )
    size = (store.folder / "offsets.bin").stat().st_size
    (store.folder / "offsets.bin").write_bytes(np.full(size // 8, -5).tobytes())
    pad = make("text", path=str(text_file), packing="pad", valid_path=str(text_file))
    pad._stores["train"] = store
    with pytest.raises(DamagedTokens, match="a document outside the tokens"):
        next(iter(pad.train_dataloader()))


def test_a_fault_of_a_loader_process_is_no_hang(capfd: pytest.CaptureFixture[str]) -> None:
    no_view: Any = []
    workers = Workers(no_view, 1)
    with pytest.raises(ChildProcessError, match="status 1"):
        list(workers.batches([[0]], 1))
    assert "Traceback" in capfd.readouterr().err
    workers.close()


def test_processes_stay_between_validations_and_go_when_left_early(
    make: Make, text_file: Path
) -> None:
    data = make("text", path=str(text_file), num_workers=2)
    loader = data.val_dataloader()
    first = [batch["index"].tolist() for batch in loader]
    stayed = children(os.getpid())
    assert len(stayed) == 2 and len(first) == len(loader)
    # As a trainer does, which counts the batches and never asks for one after the last.
    counted = itertools.islice(iter(loader), len(loader))
    assert [batch["index"].tolist() for batch in counted] == first
    assert children(os.getpid()) == stayed
    part = iter(loader)
    next(part)
    del part
    assert not children(os.getpid())
    assert [batch["index"].tolist() for batch in loader] == first
    both = zip(loader, loader, strict=True)
    assert all(torch.equal(a["index"], b["index"]) for a, b in both)
    del loader
    wait_until(lambda: not children(os.getpid()))


def test_nothing_lies_in_shared_memory(loader: Loader) -> None:
    batches = iter(loader)
    next(batches)
    for process in children(os.getpid()):
        maps = Path(f"/proc/{process}/maps").read_text().splitlines()
        files = [str(file.resolve()) for file in Path(f"/proc/{process}/fd").iterdir()]
        assert not [one for one in (*maps, *files) if "/dev/shm" in one]


READER = """
    import signal, sys
    from pathlib import Path
    from data.build import build_or_open
    from data.corpora import TextCorpus
    from data.order import StepSampler, TrainOrder
    from data.packing import Framer, WrapBlocks
    from data.tokenizers import make_tokenizer
    from data.packing import View
    from data.workers import Workers

    signals = []
    for one in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(one, lambda number, frame: signals.append(number))
    corpus = TextCorpus(sys.argv[1], sys.argv[1], "text", "tail", 0.1)
    tokenizer = make_tokenizer("bytes")
    store = build_or_open(Path(sys.argv[2]), corpus, "valid", tokenizer, False, 1)
    print("begins", flush=True)  # a signal while text is tokenized ends the program
    blocks = WrapBlocks(store, Framer(128, "bos", tokenizer), False)
    workers = Workers(View(blocks, TrainOrder(len(blocks), 0)), 2)
    left = 500
    for number, batch in enumerate(workers.batches(StepSampler(0, 8, 8, 1, 0), None)):
        if number == 0:
            print("reads", flush=True)
        left -= bool(signals)
        if left == 0:
            print("saved", flush=True)
            break
"""


@pytest.fixture
def reader(tmp_path: Path, text_file: Path) -> Iterator[subprocess.Popen[str]]:
    """A process group of its own that reads batches of two loader processes."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(READER), str(text_file), str(tmp_path / "cache")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        yield process
        process.kill()


def said(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == word


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
@pytest.mark.parametrize("moment", ["before", "starting", "reading"])
def test_a_signal_to_the_group_leaves_the_loader_working(
    reader: subprocess.Popen[str], number: signal.Signals, moment: str
) -> None:
    said(reader, "begins")
    if moment == "starting":
        wait_until(lambda: children(reader.pid))
    if moment == "reading":
        said(reader, "reads")
    os.killpg(reader.pid, number)
    rest, _ = reader.communicate(timeout=30)
    assert rest.split()[-1] == "saved" and reader.returncode == 0
    assert not children(reader.pid)


def test_no_loader_process_outlives_its_reader(reader: subprocess.Popen[str]) -> None:
    said(reader, "begins")
    said(reader, "reads")
    left = children(reader.pid)
    assert len(left) == 2
    reader.kill()
    reader.communicate()
    wait_until(lambda: not any(Path(f"/proc/{one}").exists() for one in left))
