"""Commands of main.py in processes of their own that need not import everything first: they are
forked from a server that has."""

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
# What takes seconds to import. Nothing of it computes at its import, so that a fork is whole.
PRELOADED = ["torch", "lightning.pytorch", "transformers", "tests.modes.forked", "torchmetrics"]

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(PRELOADED)


def run(
    arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], seconds: float = 280
) -> subprocess.CompletedProcess[str]:
    """As subprocess.run of `python main.py ARGUMENTS`, with both its outputs as text."""
    line = [str(ROOT / "main.py"), *arguments]
    with TemporaryDirectory() as folder:
        outputs = [Path(folder) / name for name in ("out", "err")]
        process = _server.Process(target=_main, args=(line, str(cwd), dict(environment), outputs))
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
        said = [file.read_text() if file.exists() else "" for file in outputs]
        assert process.exitcode is not None
        code = process.exitcode
        process.close()
    return subprocess.CompletedProcess(line, code, *said)


def _main(line: list[str], cwd: str, environment: dict[str, str], outputs: list[Path]) -> None:
    for descriptor, file in enumerate(outputs, start=1):
        opened = os.open(file, os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = line
    sys.path[:0] = [str(ROOT)]
    runpy.run_path(line[0], run_name="__main__")
