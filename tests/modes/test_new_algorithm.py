"""A new algorithm as the README describes it: a class and its settings, a line for each, a file;
everything else finds it."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import initialize_config_dir
from torch import Tensor

import main
from algos.base import FIRST, Algorithm, Batch, Draws
from algos.build import ALGORITHMS
from algos.denoising import DiffusionAlgorithm
from algos.facts import FACTS, Facts
from algos.noise import by_alpha
from algos.settings import ALGOS, Algo
from diffusion.bound import interpolating_bound, masked_bound
from diffusion.process import Process
from diffusion.schedule import Absorbing, Alpha, Mix
from modes import estimate
from modes.ppl_eval import run as ppl_eval
from modes.sample_eval import run as sample_eval
from modes.settings import Settings
from modes.train import run as train
from schema.fields import field
from tests.algos import configured, test_algorithms
from tests.modes import test_estimate
from tests.modes.conftest import TINY


class Timed(DiffusionAlgorithm):
    """Masks, and a network that is told the time."""

    facts = Facts(("ancestral", "psi", "first_hitting", "semi_ar"), ("log-linear", "cosine"))

    def __init__(self, alpha: Alpha, vocab_size: int, **diffusion: Any):
        super().__init__(**by_alpha(Absorbing, alpha, vocab_size), **diffusion)

    def objective(self, batch: Batch) -> Tensor:
        return self.per_token(masked_bound, batch, self.training_noise(batch))

    def nll(self, batch: Batch, draws: Draws = FIRST) -> Tensor:
        return self.bound(masked_bound, batch, draws)


def parted(t: Tensor, share: float) -> Mix:
    """A new noise: of what is lost, `share` is masked."""
    t = t.unsqueeze(-1)
    return Mix(1 - t, share * t, (1 - share) * t)


class Parted(DiffusionAlgorithm):
    """Half masks, half uniform noise, from the first to the last moment."""

    facts = Facts(("ancestral", "psi", "semi_ar"), self_corrects=True)

    def __init__(self, vocab_size: int, share: float = 0.5, **diffusion: Any):
        process = Process(partial(parted, share=share), vocab_size)
        super().__init__(
            process=process,
            training_process=process,
            level=lambda t: t,
            vocab_size=vocab_size,
            **diffusion,
        )

    def objective(self, batch: Batch) -> Tensor:
        return self.per_token(interpolating_bound, batch, self.training_noise(batch))

    def nll(self, batch: Batch, draws: Draws = FIRST) -> Tensor:
        return self.bound(interpolating_bound, batch, draws)


@dataclass(frozen=True)
class PartedSettings(Algo):
    share: float = field(0.5, "of the lost tokens, how many are masked", within="[0, 1]")


KEYS: dict[str, type[Algo]] = {"timed": Algo, "parted": PartedSettings}
TOYS: dict[str, type[Algorithm]] = {"timed": Timed, "parted": Parted}
FILES = {"timed": "", "parted": "share: 0.5\n"}
toys = pytest.mark.parametrize("name", TOYS)


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The suite with both algorithms."""
    place = tmp_path_factory.mktemp("suite") / "configs"
    folder = Path(shutil.copytree(main.ROOT / "configs", place))
    with pytest.MonkeyPatch.context() as patch:
        for name, text in FILES.items():
            (folder / "algo" / f"{name}.yaml").write_text(f"name: {name}\n{text}")
            patch.setitem(ALGORITHMS, name, TOYS[name])
            patch.setitem(FACTS, name, TOYS[name].facts)
            patch.setitem(ALGOS, name, KEYS[name])
        patch.setattr(configured, "CONFIGS", folder)
        patch.setattr(test_estimate, "composed", partial(composed, folder))
        patch.setattr(configured, "SETTINGS", configured._composed("algo"))
        yield folder


def composed(folder: Path, *overrides: str) -> Settings:
    with initialize_config_dir(str(folder), version_base="1.3"):
        return main.compose(list(overrides))


@toys
def test_it_passes_the_tests_that_every_algorithm_passes(name: str, configs: Path) -> None:
    test_algorithms.test_reported_nats_do_not_depend_on_the_batch(name)
    test_algorithms.test_only_scored_positions_count(name)
    test_algorithms.test_training_times_do_not_depend_on_the_micro_batch(name)
    for predictor in FACTS[name].samplers:
        if predictor != "semi_ar":
            torch.manual_seed(0)
            test_algorithms.test_temperature_reaches_the_draws(name, predictor)


@toys
def test_its_cost_is_known(name: str, configs: Path) -> None:
    test_estimate.test_a_training_step_has_the_parameters_and_operations_of_the_estimate(name)
    step = estimate.step_of(composed(configs, f"algo={name}", "model=nano"))
    assert step.work.head == pytest.approx(0.5 if name == "timed" else 1, abs=1e-3)


Run = Callable[..., str]


@pytest.fixture
def run(configs: Path, arguments: list[str], capsys: pytest.CaptureFixture) -> Run:
    """Runs a mode in this process; what it printed."""

    def call(mode: Any, *overrides: str) -> str:
        with initialize_config_dir(str(configs), version_base="1.3"):
            settings = main.compose(list(overrides))
            main.check(settings, main.keys_of(list(overrides)))
            mode.run(settings, list(overrides), main.compose)
        return capsys.readouterr().out

    return call


@toys
def test_it_is_trained_evaluated_and_sampled(
    name: str, run: Run, arguments: list[str], tmp_path: Path
) -> None:
    assert len(TINY) < len(arguments)
    asked = [*arguments, f"algo={name}"]
    assert f"{name}, nano" in run(estimate, *asked, "estimate=true")
    run(train, *asked, "trainer.max_steps=2")
    places = [f"eval.checkpoint_path={tmp_path}/run", f"results_dir={tmp_path}/results"]
    places += ["trainer.accelerator=cpu", "loader.eval_batch_size=8"]
    run(ppl_eval, "mode=ppl_eval", *places, "eval.passes=2", "data.max_eval_blocks=8")
    run(sample_eval, "mode=sample_eval", *places, "sampling.steps=4")
    records = [json.loads(file.read_text()) for file in (tmp_path / "results").glob("*.json")]
    assert {record["metric"] for record in records} == {"ppl", "samples"}
    assert {record["algo"] for record in records} == {name}
