"""Every file of configs/ composes, and its keys are what the code takes."""

import inspect
from collections.abc import Collection
from pathlib import Path
from typing import get_args

import pytest
import yaml
from hydra import initialize_config_dir
from lightning.fabric.connector import _PRECISION_INPUT_STR, _PRECISION_INPUT_STR_ALIAS
from lightning.pytorch.accelerators import AcceleratorRegistry

import main
from algos.build import ALGORITHMS
from algos.denoising import DiffusionAlgorithm
from algos.duo import CURRICULA
from algos.duo_distill import DIVERGENCES
from algos.gidd import WEIGHTINGS
from algos.mdlm import LOSSES
from backbones.attention import ATTENTION
from backbones.dit import DiT
from data.build_module import CORPORA
from data.detokenize import DETOKENIZERS
from data.packing import FRAMINGS
from diffusion.logits_warper import NUCLEI
from diffusion.schedule import ALPHAS
from evaluation.gen_ppl.protocols import PROTOCOLS
from modes.benchmark.slurm import JOBS
from modes.checks.combinations import check
from modes.settings import GROUPS, Settings, defaults
from samplers.grids import GRIDS
from samplers.kappa import PRESETS, RULES
from schema.fields import keywords, walk
from tests.modes.test_recipes import TABLE
from training.optim import SCHEDULES, adamw

CONFIGS = Path(main.__file__).parent / "configs"
ALIASES = {"duo_base": "udlm", "distillation": "duo_distill"}
FILES = sorted(file.relative_to(CONFIGS) for file in CONFIGS.glob("*/*.yaml"))


def compose(*overrides: str) -> Settings:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        settings = main.compose(list(overrides))
        check(settings, main.keys_of(list(overrides)))
        return settings


# Each published recipe is composed beside its numbers, in a test of its own.
@pytest.mark.parametrize("file", [file for file in FILES if file.stem not in TABLE], ids=str)
def test_every_option_composes(file: Path) -> None:
    # an evaluation, since some algorithms cannot be trained from nothing; fsdp trains alone
    evaluation = ["mode=ppl_eval", "eval.checkpoint_path=x"]
    mode = ["mode=train"] if file.parent.name == "strategy" else evaluation
    settings = compose(*mode, f"{file.parent}={file.stem}")
    if file.parent.name not in ("experiment", "optim", "trainer"):
        assert getattr(settings, file.parent.name).name == ALIASES.get(file.stem, file.stem)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_algorithm_keys_are_constructor_keywords(name: str) -> None:
    settings = compose("mode=ppl_eval", "eval.checkpoint_path=x", f"algo={name}")
    keys = set(keywords(settings.algo))
    known = set(inspect.signature(ALGORITHMS[name]).parameters)
    assert keys <= known | set(inspect.signature(DiffusionAlgorithm).parameters)


def test_every_algorithm_has_a_file_and_every_file_an_algorithm() -> None:
    algos = {file.stem for file in (CONFIGS / "algo").glob("*.yaml")}
    assert algos == set(ALGORITHMS) | set(ALIASES)
    assert {file.stem for file in (CONFIGS / "noise").glob("*.yaml")} == set(ALPHAS)
    assert {file.stem for file in (CONFIGS / "lr_scheduler").glob("*.yaml")} == set(SCHEDULES)


@pytest.mark.parametrize("name", ALPHAS)
def test_noise_keys_are_keywords(name: str) -> None:
    keys = set(keywords(compose(f"noise={name}").noise))
    assert keys == set(inspect.signature(ALPHAS[name]).parameters)


def test_optimizer_and_network_keys_are_keywords() -> None:
    settings = compose()
    assert set(keywords(settings.optim)) == set(inspect.signature(adamw).parameters) - {
        "parameters"
    }
    assert set(keywords(settings.model)) <= set(inspect.signature(DiT).parameters)


def test_choices_are_those_of_the_rooms() -> None:
    rooms: dict[str, Collection[str]] = {
        "mode": main.MODES.keys() - {"estimate"},
        "algo.loss_type": LOSSES,
        "algo.curriculum": CURRICULA,
        "algo.divergence": DIVERGENCES,
        "algo.weighting": WEIGHTINGS,
        "model.attention": ATTENTION,
        "data.framing": FRAMINGS,
        "data.detokenizer": DETOKENIZERS,
        "benchmark.jobs": JOBS,
        "sampling.nucleus": NUCLEI,
        "sampling.grid": GRIDS.keys() - {"linear-constant-linear"},  # a profile of kappa has it
        "sampling.kappa": [*PRESETS, *RULES],
        "sampling.kappa_high": RULES,
        "sampling.kappa_low": RULES,
        "trainer.accelerator": ["auto", *AcceleratorRegistry.available_accelerators(), "gpu"],
        "trainer.precision": {
            name
            for names in (_PRECISION_INPUT_STR, _PRECISION_INPUT_STR_ALIAS)
            for name in get_args(names)
            # but layers of another library, and float16
            if not name.startswith("transformer-engine") and not name.startswith("16")
        },
        "eval.quality_protocol": PROTOCOLS,
    }
    choices = {key: setting.kind.choices for key, setting in walk(Settings) if setting.kind}
    for key, known in rooms.items():
        assert {str(choice) for choice in choices[key]} == set(known), key


def test_names_of_nodes_are_those_of_the_rooms() -> None:
    rooms = {"algo": ALGORITHMS, "data": CORPORA, "noise": ALPHAS, "lr_scheduler": SCHEDULES}
    assert {group: set(nodes) for group, nodes in GROUPS.items() if group in rooms} == {
        group: set(known) for group, known in rooms.items()
    }


def test_defaults_are_said_once() -> None:
    """A file of a group repeats none of those that it begins with."""
    begins = {(group, name): values for group, name, values in defaults()}
    for file in FILES:
        said = yaml.safe_load((CONFIGS / file).read_text())
        for name in said.pop("defaults") if file.parent.name in GROUPS else []:
            usual = begins.get((file.parent.name, name), {})
            assert not [key for key in said if key in usual and said[key] == usual[key]], file


def test_the_run_directory_names_data_algorithm_network_and_seed() -> None:
    settings = compose("algo=gidd", "model=small", "seed=7", "data=lm1b")
    assert settings.checkpointing.save_dir == "outputs/lm1b/gidd-small/seed7"


def test_an_experiment_can_be_overridden() -> None:
    settings = compose("experiment=shakespeare_char", "trainer.max_steps=5")
    assert settings.trainer.max_steps == 5
    assert settings.model.length == 64
    assert settings.lr_scheduler.name == "cosine_warmup"
