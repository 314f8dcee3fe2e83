"""Trainings in one process or in several that were forked together, one command after another: a
process group takes no imports."""

import csv
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir

import main
from tests.modes.conftest import ROOT
from tests.modes.forked import _server

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


def run(commands: Sequence[Sequence[str]], processes: int = 1, nodes: int = 1) -> None:
    """Every command in as many processes; none of them may fail."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    started = []
    for rank in range(processes):
        place = {"NODE_RANK": rank * nodes // processes, "LOCAL_RANK": rank % (processes // nodes)}
        own = environment | {key: str(value) for key, value in place.items()}
        own |= {"TQDM_DISABLE": "1"}
        started.append(_server.Process(target=_run, args=(commands, processes, own)))
        started[-1].start()
    for process in started:
        process.join(240)
    codes = [process.exitcode for process in started]
    for process in started:
        if process.exitcode is None:
            process.kill()
            process.join()
    assert codes == [0] * processes, codes


def _run(commands: Sequence[Sequence[str]], processes: int, environment: dict[str, str]) -> None:
    for number, overrides in enumerate(commands):
        port = int(environment["MASTER_PORT"]) + number
        one = {} if processes == 1 else environment | {"MASTER_PORT": str(port)}
        os.environ.update(one)
        _command(list(overrides))


def _command(overrides: list[str]) -> None:
    from modes.checks.failures import leave_process_group
    from modes.train import run as train

    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        settings = main.compose(overrides)
        main.check(settings, main.keys_of(overrides))
        train.run(settings, overrides, main.compose)
    leave_process_group()


def logged(folder: Path, name: str) -> dict[int, float]:
    """The values of a quantity by step, those of later starts of the run over earlier ones."""
    found: dict[int, float] = {}
    files = folder.glob("logs/version_*/metrics.csv")
    for file in sorted(files, key=lambda file: int(file.parent.name.rpartition("_")[2])):
        with file.open(newline="") as stream:
            rows: list[dict[str, Any]] = list(csv.DictReader(stream))
        found |= {int(row["step"]): float(row[name]) for row in rows if row.get(name)}
    return found
