"""strategy=fsdp over gloo beside one process: the same losses, norms, averages and checkpoints."""

from pathlib import Path

import pytest
import torch

import main
from tests.composed import composed
from tests.training.world import SMALL, logged, run
from training.checkpoint import read_checkpoint

SHARDED = ["strategy=fsdp"]
# More than the algorithm's name: dropout, accumulation, checkpointing, both curricula, a teacher.
RUNS: dict[str, list[str]] = {
    "ar": ["algo=ar", "model.activation_checkpointing=true"],
    "mdlm": ["algo=mdlm", "model.dropout=0.1", "loader.batch_size=2"],
    "gidd": ["algo=gidd", "trainer.gradient_clip_val=0.1"],
    "duo": ["algo=duo"],
    "duo_full": ["algo=duo", "algo.curriculum=full"],
    # Its student begins as its teacher: with a small eps Adam makes steps of rounding.
    "duo_distill": ["algo=duo_distill", "algo.rounds=3", "algo.teacher=averaged", "optim.eps=1e-3"],
}


def command(name: str, folder: Path, start: Path, *more: str) -> list[str]:
    given = [*SMALL, *RUNS[name], f"checkpointing.save_dir={folder}/{name}", *more]
    if name == "duo_distill":
        given.append(f"training.finetune_path={start}")
    return given


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each by one process."""
    folder = tmp_path_factory.mktemp("one")
    start = folder / "duo"
    run([command(name, folder, start) for name in RUNS])
    return folder


@pytest.fixture(scope="module")
def two(one: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same by two processes that share each parameter."""
    folder = tmp_path_factory.mktemp("two")
    devices = [*SHARDED, "trainer.devices=2"]
    run([command(name, folder, one / "duo", *devices) for name in RUNS], processes=2)
    return folder


def assert_same(one: Path, other: Path) -> None:
    """Losses and norms to 2e-5 of themselves, or 1e-7 where a student is almost its teacher;
    weights and averages to 2e-4, steps of 0.01."""
    for key in ("train/loss", "train/grad_norm", "val/nll"):
        expected = logged(one, key)
        assert expected and logged(other, key) == pytest.approx(expected, rel=2e-5, abs=1e-7)
    ours, theirs = (read_checkpoint(folder, resumes=True) for folder in (one, other))
    assert ours.keys() == theirs.keys()
    for part in (("state_dict",), ("ema", "weights")):
        weights, others = ours, theirs
        for key in part:
            weights, others = weights[key], others[key]
        torch.testing.assert_close(others, weights, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_train_as_one(name: str, one: Path, two: Path) -> None:
    assert_same(one / name, two / name)


def test_a_run_goes_on_with_another_number_of_processes_and_strategy(
    one: Path, tmp_path: Path
) -> None:
    """Two processes, then four, then one without parts."""
    four = [*SHARDED, "trainer.devices=4"]
    for processes, steps, more in (
        (2, 2, [*SHARDED, "trainer.devices=2"]),
        (4, 4, four),
        (1, 6, []),
    ):
        last = [f"trainer.max_steps={steps}", *more]
        run([command("mdlm", tmp_path, one, *last)], processes)
        parts = len(list((tmp_path / "mdlm" / "checkpoints").glob("shards-*/part-*")))
        assert (parts > 0) == (processes > 1)
    for key in ("train/loss", "val/nll"):
        expected = logged(one / "mdlm", key)
        assert logged(tmp_path / "mdlm", key) == pytest.approx(expected, rel=2e-5)


def without_inductor(rank: int) -> None:
    """Graphs are taken and derived as ever, and run by torch: nothing is compiled to C++."""
    torch.compiler.set_stance("default", force_backend="aot_eager")


def test_compiled_blocks_whose_activations_are_computed_again(one: Path, tmp_path: Path) -> None:
    more = [*SHARDED, "trainer.devices=2", "model.compile=true"]
    run([command("ar", tmp_path, one, *more)], processes=2, before=without_inductor)
    assert_same(one / "ar", tmp_path / "ar")


def test_parts_within_a_node_and_copies_between_nodes(one: Path, tmp_path: Path) -> None:
    more = [*SHARDED, "trainer.devices=2", "trainer.num_nodes=2", "strategy.shard_within_node=true"]
    run([command("mdlm", tmp_path, one, *more)], processes=4, nodes=2)
    assert_same(one / "mdlm", tmp_path / "mdlm")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["trainer.precision=bf16-true"], "trainer.precision=bf16-true: .* 32-true or bf16-mixed"),
        (["strategy.shard_within_node=true"], "shard_within_node=true: needs trainer.num_nodes"),
        (["mode=leaderboard"], "strategy=fsdp: mode=train alone"),
        (["strategy.name=ddp", "strategy.shard_within_node=true"], "for strategy=fsdp, not"),
    ],
)
def test_what_fsdp_cannot_do_is_refused(given: list[str], message: str) -> None:
    settings = composed(*SHARDED, *given)
    with pytest.raises(ValueError, match=message):
        main.check(settings, main.keys_of([*SHARDED, *given]))
