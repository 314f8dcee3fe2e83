"""Commands in this process or in several that were forked together, one after another: a process
group takes no imports."""

import csv
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import main
from tests import composed
from tests.modes.forked import server

SMALL = [
    "mode=train",
    "data=markov",
    "model.hidden_size=16",
    "model.cond_dim=8",
    "model.n_blocks=2",
    "model.n_heads=2",
    "model.length=12",
    "loader.global_batch_size=8",
    "loader.eval_batch_size=2",
    "trainer.accelerator=cpu",
    "trainer.max_steps=6",
    "trainer.val_check_interval=2",
    "trainer.limit_val_batches=3",  # six blocks: four processes have no equal shares
    "trainer.log_every_n_steps=1",
    "checkpointing.every_n_steps=2",
    "optim.lr=0.01",
    "lr_scheduler.num_warmup_steps=2",
    "training.ema=0.9",
]


def run(
    commands: Sequence[Sequence[str]],
    processes: int = 1,
    nodes: int = 1,
    before: Callable[[int], None] | None = None,
) -> None:
    """Every command in as many processes, `before` which they call a function with their rank; none
    of them may fail. One process is this one."""
    if processes == 1 and before is None:
        for overrides in commands:
            composed.start(*overrides)
        return
    started = start(commands, processes, nodes, before)
    wait(lambda: any(codes := [one.exitcode for one in started]) or None not in codes)
    codes = [process.exitcode for process in started]
    stop(started)
    assert codes == [0] * processes, codes


def run_until_killed(command: Sequence[str], processes: int, before: Callable[[int], None]) -> None:
    """The command in processes of which one kills itself, and all others with it."""
    started = start([command], processes, 1, before)
    wait(lambda: any(process.exitcode is not None for process in started))
    codes = {process.exitcode for process in started}
    stop(started)
    assert -signal.SIGKILL in codes, codes


def wait(condition: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def stop(started: Sequence[Any]) -> None:
    for process in started:
        if process.exitcode is None:
            process.kill()
        process.join()


def start(
    commands: Sequence[Sequence[str]],
    processes: int,
    nodes: int,
    before: Callable[[int], None] | None,
) -> list[Any]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    started: list[Any] = []
    for rank in range(processes):
        place = {"NODE_RANK": rank * nodes // processes, "LOCAL_RANK": rank % (processes // nodes)}
        own = environment | {key: str(value) for key, value in place.items()}
        own |= {"TQDM_DISABLE": "1"}
        arguments = (commands, processes, own, rank, before)
        started.append(server.Process(target=_run, args=arguments))
        started[-1].start()
    return started


def _run(
    commands: Sequence[Sequence[str]],
    processes: int,
    environment: dict[str, str],
    rank: int,
    before: Callable[[int], None] | None,
) -> None:
    if before is not None:
        before(rank)
    for number, overrides in enumerate(commands):
        port = int(environment["MASTER_PORT"]) + number
        one = {} if processes == 1 else environment | {"MASTER_PORT": str(port)}
        os.environ.update(one)
        composed.start(*overrides)
        main.leave_process_group()


def logged(folder: Path, name: str) -> dict[int, float]:
    """The values of a quantity by step, those of later starts of the run over earlier ones."""
    found: dict[int, float] = {}
    files = folder.glob("logs/version_*/metrics.csv")
    for file in sorted(files, key=lambda file: int(file.parent.name.rpartition("_")[2])):
        with file.open(newline="") as stream:
            rows: list[dict[str, Any]] = list(csv.DictReader(stream))
        found |= {int(row["step"]): float(row[name]) for row in rows if row.get(name)}
    return found
