"""Commands of main.py, and other programs, in processes of their own that need not import
everything first: they are forked from a server that has."""

import contextlib
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

server = multiprocessing.get_context("forkserver")
server.set_forkserver_preload(["tests.modes.preloaded"])


class Program:
    """A running command with the part of subprocess.Popen that tests use."""

    def __init__(self, process: Any, outputs: Sequence[Path]):
        self._process, self._outputs = process, outputs
        self.pid: int = process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float) -> int | None:
        """The exit status, None where it has not ended after `timeout` seconds."""
        self._process.join(timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def said(self) -> list[str]:
        """What is written to stdout and to stderr so far."""
        return [file.read_text() if file.exists() else "" for file in self._outputs]


@contextlib.contextmanager
def started(
    arguments: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    session: bool = False,
    file: Path = ROOT / "main.py",
) -> Iterator[Program]:
    """The running `python FILE ARGUMENTS`, in a session of its own if asked; killed where the block
    leaves."""
    line = [str(file), *arguments]
    with TemporaryDirectory() as folder:
        outputs = [Path(folder) / name for name in ("out", "err")]
        given = (line, str(cwd), dict(environment), outputs, session)
        process = server.Process(target=_main, args=given)
        process.start()
        try:
            yield Program(process, outputs)
        finally:
            if process.exitcode is None:
                os.kill(process.pid, signal.SIGKILL)
            process.join()
            process.close()


def run(
    arguments: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    seconds: float = 280,
    file: Path = ROOT / "main.py",
) -> subprocess.CompletedProcess[str]:
    """As subprocess.run of `python FILE ARGUMENTS`, with both its outputs as text."""
    with started(arguments, cwd, environment, file=file) as program:
        if program.wait(seconds) is None:
            program.send_signal(signal.SIGKILL)
            program.wait(seconds)
        code = program.returncode
        assert code is not None
        return subprocess.CompletedProcess([str(file), *arguments], code, *program.said())


def run_text(text: str, seconds: float = 280) -> subprocess.CompletedProcess[str]:
    """A program that is given as its text, from the directory of the repository."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "program.py"
        file.write_text(text)
        return run([], ROOT, {**os.environ, "OMP_NUM_THREADS": "1"}, seconds, file)


def ranks(world: int) -> list[dict[str, str]]:
    """The environments of so many processes that train together, at a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(world)}
    common |= {"OMP_NUM_THREADS": "1"}
    return [common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(world)]


def run_together(
    work: Callable[..., None], world: int, *arguments: Any, seconds: float = 240
) -> None:
    """`work(*arguments)` in so many processes, none of which may fail."""
    processes = [server.Process(target=_work, args=(work, own, arguments)) for own in ranks(world)]
    for process in processes:
        process.start()
    deadline = time.monotonic() + seconds
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert codes == [0] * world, codes


def _work(work: Callable[..., None], environment: dict[str, str], arguments: Any) -> None:
    os.environ.update(environment)
    work(*arguments)


def _main(
    line: list[str], cwd: str, environment: dict[str, str], outputs: list[Path], session: bool
) -> None:
    if session:
        os.setsid()
    for descriptor, file in enumerate(outputs, start=1):
        opened = os.open(file, os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = line
    sys.path[:0] = [str(Path(line[0]).parent), str(ROOT)]
    runpy.run_path(line[0], run_name="__main__")
