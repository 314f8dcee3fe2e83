"""estimate=true beside what training really does."""

import json
import os
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import main
from algos.base import batch_of
from algos.build import ALGORITHMS
from backbones.cost import Step, parameters, state_bytes, training_flops
from data.settings import Data, Markov
from data.tokenizers import make_tokenizer
from modes import build, estimate
from tests.composed import composed
from tests.modes import forked

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "tokenizers"
SMALL = ["model.hidden_size=64", "model.cond_dim=16", "model.n_blocks=2", "model.n_heads=2"]
SMALL += ["model.length=64", "data.tokenizer_name_or_path=bytes", "loader.global_batch_size=64"]
# A network whose activations outweigh what a process has beside them.
TRIAL = ["model.hidden_size=256", "model.n_blocks=4", "model.n_heads=8", "model.length=128"]
TRIAL += ["data.tokenizer_name_or_path=symbols:8000"]


def addmm_in_place(own: list, left: list, right: list, out_shape: list | None = None, **_: object):
    """Operations of x.addmm_(left, right), which torch itself does not count."""
    return 2 * left[0] * left[1] * right[1]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_training_step_has_the_parameters_and_operations_of_the_estimate(name: str) -> None:
    settings = composed(f"algo={name}", *SMALL)
    step = estimate.step_of(settings)
    algorithm = build.algorithm(settings, step.sizes.vocab_size)
    expected = sum(p.numel() for p in algorithm.parameters())
    assert sum(parameters(step.sizes).values()) == expected
    given = batch_of(torch.randint(257, (64, 64)), given=0)
    more = {torch.ops.aten.addmm_: addmm_in_place}
    counter = FlopCounterMode(display=False, custom_mapping=more)
    with sdpa_kernel(SDPBackend.MATH), counter:
        (algorithm.objective(given).sum() / given["tokens"].numel()).backward()
    counted = counter.get_total_flops() / given["tokens"].numel()
    assert training_flops(step.sizes, step.work) == pytest.approx(counted, rel=0.02)


@pytest.mark.parametrize("name", ["mdlm", "duo_distill"])
def test_memory_is_what_a_training_step_takes(name: str, tmp_path: Path) -> None:
    """Within 15 %."""
    line = ["--batch-size", "8", "--repeats", "0", f"algo={name}", *TRIAL]
    file = main.ROOT / "benchmarks" / "recipe_step.py"
    done = forked.run(line, tmp_path, os.environ | {"OMP_NUM_THREADS": "1"}, file=file)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert 1 / 1.15 <= found["estimate_bytes"] / found["peak_bytes"] <= 1.15


@pytest.mark.skipif(not SHARED.exists(), reason="the shared tokenizers are not on this machine")
@pytest.mark.parametrize("name", ["gpt2", "bert-base-uncased"])
def test_known_vocabularies_are_those_of_the_tokenizers(name: str) -> None:
    assert make_tokenizer(str(SHARED / name)).vocab_size == estimate.VOCABULARIES[name]


@pytest.mark.parametrize("name", ["bytes", "text8"])
def test_built_in_vocabularies_are_those_of_the_tokenizers(name: str) -> None:
    assert make_tokenizer(name).vocab_size == estimate.VOCABULARIES[name]


def test_a_language_of_symbols_and_a_tokenizer_of_another_name_are_asked() -> None:
    assert estimate.vocabulary(Markov()) == 17
    assert estimate.vocabulary(Data(tokenizer_name_or_path="symbols:40")) == 41


def test_the_published_small_network() -> None:
    lines = estimate.report(composed("experiment=owt_mdlm"))
    text = "\n".join(lines)
    assert "169.626 M" in text  # 92.1 in its blocks, as published
    assert "92.132 M" in text
    assert "1,000,000 steps: 524.3 billion tokens" in text
    assert [line for line in lines if "activations kept" in line and "80 GB" in line]


def state(*overrides: str) -> dict[str, float]:
    return state_bytes(estimate.step_of(composed(*overrides)))


def test_memory_has_what_the_configuration_keeps() -> None:
    plain = state("algo=duo")
    assert plain["teacher"] == 0
    assert plain["averaged weights"] == plain["weights"]
    assert state("algo=duo", "training.ema=0")["averaged weights"] == 0
    assert state("algo=duo_distill")["teacher"] == plain["weights"]
    assert plain["weights in bf16"] > 0
    assert state("algo=duo", "trainer.precision=32-true")["weights in bf16"] == 0
    assert state("algo=duo", "trainer.accelerator=cpu")["weights in bf16"] == 0


def test_only_masks_go_through_the_head() -> None:
    def head(*overrides: str) -> float:
        return estimate.step_of(composed(*overrides)).work.head

    assert head("algo=mdlm") == pytest.approx(0.5, abs=1e-3)
    assert head("algo=mdlm", "noise=cosine") == pytest.approx(0.636, abs=2e-3)  # 2 / pi
    assert head("algo=gidd", "algo.p_uniform=0.0") == 0.5
    assert head("algo=gidd") == 1
    assert head("algo=d3pm", "algo.reconstruct_one_in=1") == pytest.approx(1.5, abs=1e-3)


def test_a_batch_divides_the_global_one() -> None:
    assert estimate.divisor(512, 33) == 32
    assert estimate.divisor(12, 100) == 12
    assert estimate.divisor(512, 0) == 0


def test_what_cannot_be_estimated_is_refused() -> None:
    with pytest.raises(ValueError, match=r"trainer.precision='64-true'.*bf16-mixed"):
        estimate.step_of(composed("trainer.precision=64-true"))
    with pytest.raises(ValueError, match="mode=train, not mode=leaderboard"):
        estimate.run(composed("mode=leaderboard"), [], main.compose)


def test_with_checkpointing_more_texts_fit() -> None:
    step = estimate.step_of(composed("experiment=owt_udlm"))
    assert isinstance(step, Step)
    lines = estimate.batches(step, 512)
    kept, again = (int(line.split("80 GB:")[1].split()[0].replace(",", "")) for line in lines[1:])
    assert again > 3 * kept


def test_operations_of_a_run_need_no_tokenizer() -> None:
    """It may lie elsewhere than the run's configuration says, which an evaluation is told."""
    for name in ("ar", "d3pm", "bd3lm"):
        settings = composed(f"algo={name}", *SMALL)
        moved = composed(f"algo={name}", *SMALL, "data.tokenizer_name_or_path=/nowhere")
        step = estimate.step_of(settings)
        expected = training_flops(step.sizes, step.work)
        assert estimate.flops_per_token(moved, step.sizes.vocab_size) == expected
