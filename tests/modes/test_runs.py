"""Train, evaluate and sample through the real entry point; stop runs and go on."""

import csv
import json
import signal
from pathlib import Path

import pytest
import torch

from algos.build import ALGORITHMS
from tests.modes import forked, in_process
from tests.modes.conftest import Command
from tests.processes import wait_until
from tests.training import world

# the distillation, which needs a teacher, has its own file
ALGOS = sorted(ALGORITHMS.keys() - {"duo_distill"})


def records(folder: Path, below: str = "results") -> dict[str, dict]:
    found = [json.loads(file.read_text()) for file in (folder / below).glob("*.json")]
    return {record["metric"]: record for record in found}


def state(folder: Path) -> dict:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def losses(folder: Path, column: str = "train/loss") -> dict[int, float]:
    """Training losses, or another column, by step over all starts of a run."""
    found: dict[int, float] = {}
    for file in sorted(folder.glob("logs/version_*/metrics.csv")):
        with file.open() as stream:
            rows = [row for row in csv.DictReader(stream) if row.get(column)]
        found |= {int(row["step"]): float(row[column]) for row in rows}
    return found


@pytest.mark.parametrize("algo", ALGOS)
def test_train_then_evaluate_then_sample(algo: str, command: Command, tmp_path: Path) -> None:
    trained = command(f"algo={algo}", "trainer.max_steps=6", "checkpointing.every_n_steps=4")
    assert trained.returncode == 0, trained.stderr
    assert "6/6" in trained.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config == state(tmp_path / "run")["config"]
    assert config["algo"]["name"] == algo
    assert sorted(losses(tmp_path / "run")) == list(range(6))
    assert (tmp_path / "run" / "checkpoints" / "best.ckpt").exists()

    run = f"eval.checkpoint_path={tmp_path / 'run'}"
    few = "data.max_eval_blocks=20"  # a key of the run's own data, not of the default corpus
    evaluated = command("mode=ppl_eval", run, few, f"results_dir={tmp_path}/results", base=False)
    assert evaluated.returncode == 0, evaluated.stderr
    ppl = records(tmp_path)["ppl"]
    assert ppl["kind"] == ("exact" if algo == "ar" else "upper bound")
    assert ("<=" in evaluated.stdout) == (algo != "ar")
    assert (ppl["stderr"] == 0) == (algo == "ar")
    assert 5 < ppl["value"] < 1e6  # a D3PM network has to learn first that the mask is no token
    assert ppl["metrics"]["bits_per_byte"] > 0
    assert ppl["data"]["name"] == "text"
    assert ppl["protocol"]["blocks"] == 20
    assert ppl["config"]["trainer"] == config["trainer"]

    sampled = command(
        "mode=sample_eval", run, f"results_dir={tmp_path}/results", "sampling.steps=8", base=False
    )
    assert sampled.returncode == 0, sampled.stderr
    assert "--- sample 1" in sampled.stdout
    entropy = records(tmp_path)["samples"]
    assert entropy["training"]["checkpoint_digest"] == ppl["training"]["checkpoint_digest"]
    assert entropy["metrics"]["network_evaluations"] <= (15 if algo == "ar" else 8)
    samples = json.loads(Path(entropy["metrics"]["samples"]).read_text())["samples"]
    assert len(samples) == entropy["count"] == 64
    assert {len(sample["tokens"]) for sample in samples} == {16}
    assert all(0 <= token < 257 for sample in samples for token in sample["tokens"])


ALL_AT_ONCE = [  # dropout, averaged weights, accumulation
    "algo=gidd",
    "model.dropout=0.1",
    "loader.batch_size=2",
    "trainer.max_steps=60",
    "checkpointing.every_n_steps=4",
]


@pytest.fixture(scope="module")
def whole(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    return in_process.train(folder, text, *ALL_AT_ONCE, "optim.lr=0.001")


@pytest.mark.parametrize(
    "how",
    [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM, signal.SIGKILL],
)
def test_a_stopped_run_goes_on_bit_for_bit(
    how: signal.Signals,
    whole: Path,
    command: Command,
    arguments: list[str],
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """A stop at an arbitrary moment."""
    stopped = tmp_path / "run"
    with forked.started([*arguments, *ALL_AT_ONCE], tmp_path, environment) as process:
        wait_until((stopped / "checkpoints" / "last.ckpt").exists, process)
        process.send_signal(how)
        assert process.wait(timeout=60) not in (0, None)
    reached = state(stopped)["global_step"]
    assert reached < 60

    again = command(*ALL_AT_ONCE)
    assert again.returncode == 0, again.stderr
    one, other = state(whole), state(stopped)
    assert one["global_step"] == other["global_step"] == 60
    for name, tensor in one["state_dict"].items():
        assert torch.equal(tensor, other["state_dict"][name]), name
        assert torch.equal(one["ema"]["weights"][name], other["ema"]["weights"][name]), name
    for column in ("train/loss", "val/nll"):  # no row is lost, at no step
        assert losses(whole, column) == losses(stopped, column)
    assert {file.name for file in whole.iterdir()} == {file.name for file in stopped.iterdir()}


def test_a_finished_run_says_so_and_another_run_is_not_overwritten(
    command: Command, tmp_path: Path
) -> None:
    assert command("algo=mdlm", "trainer.max_steps=2").returncode == 0
    before = (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes()
    finished = command("algo=mdlm", "trainer.max_steps=2")
    assert finished.returncode == 0
    assert "has trainer.max_steps=2 steps already" in finished.stdout
    other = command("algo=mdlm", "model.n_blocks=2", "trainer.max_steps=2")
    assert other.returncode == 2
    assert "model.n_blocks=1, not 2" in other.stderr.splitlines()[-1]
    anew = command("algo=mdlm", "checkpointing.resume_from_ckpt=false")
    assert anew.returncode == 2
    assert "checkpointing.resume_from_ckpt=false" in anew.stderr.splitlines()[-1]
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes() == before


def test_a_loss_that_is_not_finite_stops_before_the_optimizer(
    command: Command, tmp_path: Path
) -> None:
    good = command("trainer.max_steps=4", "optim.lr=0.001", "checkpointing.every_n_steps=2")
    assert good.returncode == 0, good.stderr
    checkpoint = state(tmp_path / "run")
    name = "backbone.head.bias"
    checkpoint["state_dict"][name][3] = float("inf")
    torch.save(checkpoint, tmp_path / "run" / "checkpoints" / "last.ckpt")
    before = (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes()
    bad = command("trainer.max_steps=8", "optim.lr=0.001", "checkpointing.every_n_steps=2")
    assert bad.returncode == 2
    assert bad.stderr.splitlines()[-1].startswith("error: step 5: the gradient norm is nan")
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes() == before


def test_several_processes_train_and_evaluate_like_one(
    command: Command, program: Command, arguments: list[str], tmp_path: Path
) -> None:
    """DDP over gloo, on texts of very different lengths: the same examples, times, noise and
    dropout, the same validated blocks, and every loss divided by the tokens of the global batch.
    Lightning starts the second of two; the others are forked together."""
    lines = [json.dumps({"text": "beer " * (1 + i % 9)}) for i in range(400)]
    (tmp_path / "lines.jsonl").write_text("\n".join(lines))
    data = [f"data.path={tmp_path}/lines.jsonl", "data.packing=pad"]
    more = [*data, "algo=gidd", "model.dropout=0.1", "trainer.max_steps=20"]
    more += ["trainer.val_check_interval=5", "trainer.limit_val_batches=1"]

    def of(devices: int) -> list[str]:
        folder = tmp_path / f"run{devices}"
        places = [f"checkpointing.save_dir={folder}", f"results_dir={folder}/results"]
        places += [f"eval.checkpoint_path={folder}"]
        return places if devices == 1 else [*places, "strategy=ddp", f"trainer.devices={devices}"]

    for run, devices in ((command, 1), (program, 2)):
        done = run(*more, *of(devices))
        assert done.returncode == 0, done.stderr
    world.run([[*arguments, *more, *of(4)]], processes=4)
    evaluate = [*arguments, "mode=ppl_eval", "algo=gidd", *data]
    for devices in (1, 2):
        world.run([[*evaluate, *of(devices)]], devices)

    one = tmp_path / "run1"
    logged, seen = losses(one), losses(one, "val/nll")
    assert list(logged) == list(range(20)) and list(seen) == [4, 9, 14, 19]
    for devices in (2, 4):
        folder = tmp_path / f"run{devices}"
        for key, tensor in state(one)["state_dict"].items():
            other = state(folder)["state_dict"][key]
            torch.testing.assert_close(tensor, other, rtol=1e-3, atol=1e-5)
        assert losses(folder) == pytest.approx(logged, rel=1e-5)
        assert losses(folder, "val/nll") == pytest.approx(seen, rel=1e-5)
    ppl, two = records(one)["ppl"], records(tmp_path / "run2")["ppl"]
    assert ppl["count"] == two["count"]
    assert ppl["value"] == pytest.approx(two["value"], rel=1e-4)
    assert ppl["protocol_digest"] == two["protocol_digest"]


def test_two_processes_draw_the_samples_of_one(
    command: Command, arguments: list[str], tmp_path: Path
) -> None:
    """Of one batch, which leaves nothing for the second process, and of three."""
    assert command("algo=mdlm", "trainer.max_steps=2").returncode == 0
    counts, two = (1, 3), ["strategy=ddp", "trainer.devices=2"]
    sample = [*arguments, "mode=sample_eval", f"eval.checkpoint_path={tmp_path}/run"]
    sample += ["loader.eval_batch_size=4"]
    for processes, more in ((1, []), (2, two)):
        lines = [
            [*sample, *more, f"sampling.num_sample_batches={batches}", f"results_dir={place}"]
            for batches in counts
            for place in [tmp_path / f"{processes}-{batches}"]
        ]
        world.run(lines, processes)
    for batches in counts:
        drawn = []
        for processes in (1, 2):
            samples = records(tmp_path / f"{processes}-{batches}", ".")["samples"]["metrics"]
            drawn.append(json.loads(Path(samples["samples"]).read_text())["samples"])
        assert len(drawn[0]) == 4 * batches
        assert drawn[0] == drawn[1]


def test_a_killed_benchmark_goes_on_and_repeats_nothing(
    command: Command, arguments: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    more = ["mode=benchmark", "benchmark.algos=[ar,mdlm]", "trainer.max_steps=60"]
    more += [f"checkpointing.save_dir={runs}/${{algo.name}}", "checkpointing.every_n_steps=4"]
    with forked.started([*arguments, *more], tmp_path, environment) as process:
        wait_until((runs / "mdlm" / "checkpoints" / "last.ckpt").exists, process)
    assert state(runs / "mdlm")["global_step"] < 60
    first = {file: file.read_bytes() for file in (tmp_path / "results").rglob("*.*")}
    assert len([file for file in first if file.suffix == ".json"]) == 2  # of ar

    again = command(*more)
    assert again.returncode == 0, again.stderr
    assert "ar, seed 1: finished before" in again.stderr
    assert "row 1 of 1, mdlm, seed 1: train" in again.stderr
    assert "%|" not in again.stderr  # a bar is nothing for a log
    assert "algorithm" in again.stdout
    assert "≤" in again.stdout
    assert state(runs / "mdlm")["global_step"] == 60
    assert {file: file.read_bytes() for file in first} == first
    assert len(list((tmp_path / "results").glob("*.json"))) == 4
    with (runs / "mdlm" / "curve.csv").open() as stream:
        assert [int(point["step"]) for point in csv.DictReader(stream)][-1] == 60
