"""estimate=true with strategy=fsdp, beside what a step takes of one process and of two."""

import json
import os
from pathlib import Path

import pytest

from modes import estimate
from modes.settings import Settings
from tests.composed import composed
from tests.modes.forked import run_together

# Networks of which the activations, the blocks, or the vocabulary outweigh the rest.
TEXTS = ["model.hidden_size=256", "model.n_blocks=4", "model.n_heads=8", "model.length=128"]
TEXTS += ["data.tokenizer_name_or_path=symbols:8000", "algo=mdlm"]
BLOCKS = ["model.hidden_size=512", "model.n_blocks=6", "model.n_heads=8", "model.length=64"]
BLOCKS += ["data.tokenizer_name_or_path=symbols:2000", "algo=gidd"]
WORDS = ["model.hidden_size=256", "model.n_blocks=2", "model.n_heads=8", "model.length=64"]
WORDS += ["data.tokenizer_name_or_path=symbols:50000", "algo=ar"]


def sharded(*overrides: str) -> Settings:
    return composed("strategy=fsdp", *overrides)


def _measure(batch: int, passes: int, given: list[str], file: Path) -> None:
    from benchmarks.recipe_step import measured

    result = measured(batch, 0, passes, ["strategy=fsdp", *given])
    if os.environ["RANK"] == "0":
        file.write_text(json.dumps(result))


@pytest.mark.parametrize(
    ("processes", "batch", "passes", "given"),
    [(1, 6, 1, TEXTS), (2, 6, 1, TEXTS), (2, 1, 2, BLOCKS), (2, 1, 1, WORDS)],
    ids=["one", "activations", "blocks", "vocabulary"],
)
def test_memory_is_what_each_process_takes(
    processes: int, batch: int, passes: int, given: list[str], tmp_path: Path
) -> None:
    """Within 15 %."""
    run_together(_measure, processes, batch, passes, given, tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    assert 1 / 1.15 <= found["estimate_bytes"] / found["peak_bytes"] <= 1.15, found


@pytest.mark.parametrize(
    ("given", "parts", "accumulates"),
    [
        ([], 8, False),  # an open number of GPUs: as of the published recipes
        (["trainer.devices=2", "trainer.num_nodes=2"], 4, False),
        (["trainer.devices=2", "trainer.num_nodes=2", "strategy.shard_within_node=true"], 2, False),
        (["trainer.devices=[0,1]", "loader.batch_size=16"], 2, True),
        (["trainer.devices='0,1,2,3'"], 4, False),
    ],
)
def test_the_configuration_says_the_parts(given: list[str], parts: int, accumulates: bool) -> None:
    step = estimate.step_of(sharded("loader.global_batch_size=64", *given))
    assert (step.parts, step.accumulates) == (parts, accumulates)


def test_without_fsdp_nothing_is_in_parts() -> None:
    assert estimate.step_of(sharded("strategy=ddp", "trainer.devices=4")).parts == 0


def test_the_report_has_every_part_and_what_fits() -> None:
    given = ["algo=duo_distill", "model=8b", "data.tokenizer_name_or_path=symbols:126463"]
    given += ["trainer.devices=8", "trainer.num_nodes=8", "loader.global_batch_size=512"]
    lines = estimate.report(sharded(*given))
    text = "\n".join(lines)
    assert "7,582" in text  # millions of parameters
    assert "memory of each of 64 devices" in text
    for part in ("weights", "gradients", "optimizer", "averaged weights", "teacher"):
        assert f"\n  {part} " in text
    for part in ("the head", "a block", "the embedding"):
        assert text.count(f"\n  {part} ") == 2
    fits = {line.split(",")[0].strip(): line for line in lines if "GPUs, computed again" in line}
    assert "80 GB: 0" in fits["1 GPUs"]
    assert "80 GB: 0" not in fits["64 GPUs"]
