"""Programs that a test starts: none outlives its test, none is waited for without end."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol


@contextlib.contextmanager
def started(line: Sequence[str], **options: Any) -> Iterator[subprocess.Popen]:
    """The running program; killed and reaped where the test leaves, by a failure too."""
    with subprocess.Popen(line, **options) as process:
        try:
            yield process
        finally:
            process.kill()


class Running(Protocol):
    def poll(self) -> int | None: ...


def wait_until(condition: Callable[[], object], process: Running, seconds: float = 120) -> None:
    """Until `condition` holds, while `process` runs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"ended with {process.poll()}"
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)
