"""Every file of configs/ composes, and its keys are what the code takes."""

import inspect
from pathlib import Path

import pytest
from hydra import initialize_config_dir

import main
from algos import ALGORITHMS
from algos.base import DiffusionAlgorithm
from algos.gidd import WEIGHTINGS
from algos.mdlm import LOSSES
from backbones import DiT
from backbones.attention import ATTENTION
from data.module import PACKINGS
from data.packing import FRAMINGS
from diffusion.schedule import ALPHAS
from modes.build import STRATEGIES
from modes.checks import AT_LEAST, CHOICES, check, lookup
from training.optim import SCHEDULES, adamw

CONFIGS = Path(main.__file__).parent / "configs"
FILES = sorted(file.relative_to(CONFIGS) for file in CONFIGS.glob("*/*.yaml"))


def compose(*overrides: str) -> dict:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        settings = main.compose(list(overrides))
        main.check_types(settings, list(overrides))
        check(settings, main.keys_of(list(overrides)))
        return settings


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_option_composes(file: Path) -> None:
    settings = compose(f"{file.parent}={file.stem}")
    assert settings["mode"] == "train"
    if file.parent.name not in ("experiment", "optim", "trainer"):
        assert settings[file.parent.name]["name"] == file.stem


@pytest.mark.parametrize("name", ALGORITHMS)
def test_algorithm_keys_are_constructor_keywords(name: str) -> None:
    keys = set(compose(f"algo={name}")["algo"]) - {"name", "predictors", "noises"}
    known = set(inspect.signature(ALGORITHMS[name]).parameters)
    assert keys <= known | set(inspect.signature(DiffusionAlgorithm).parameters)


def test_every_algorithm_has_a_file_and_every_file_an_algorithm() -> None:
    assert {file.stem for file in (CONFIGS / "algo").glob("*.yaml")} == set(ALGORITHMS)
    assert {file.stem for file in (CONFIGS / "noise").glob("*.yaml")} == set(ALPHAS)
    assert {file.stem for file in (CONFIGS / "lr_scheduler").glob("*.yaml")} == set(SCHEDULES)


@pytest.mark.parametrize("name", ALPHAS)
def test_noise_keys_are_keywords(name: str) -> None:
    keys = set(compose(f"noise={name}")["noise"]) - {"name"}
    assert keys == set(inspect.signature(ALPHAS[name]).parameters) - {"t"}


def test_optimizer_and_network_keys_are_keywords() -> None:
    settings = compose()
    assert set(settings["optim"]) == set(inspect.signature(adamw).parameters) - {"parameters"}
    assert set(settings["model"]) - {"name"} <= set(inspect.signature(DiT).parameters)


def test_early_choices_are_those_of_the_rooms() -> None:
    rooms = {
        "algo.loss_type": LOSSES,
        "algo.weighting": WEIGHTINGS,
        "model.attention": ATTENTION,
        "data.packing": PACKINGS,
        "data.framing": FRAMINGS,
        "strategy.name": STRATEGIES,
    }
    assert {key: sorted(known) for key, known in rooms.items()} == {
        key: sorted(known) for key, known in CHOICES.items()
    }
    assert all(lookup(compose(), key) is not None for key in AT_LEAST)


def test_the_run_directory_names_data_algorithm_network_and_seed() -> None:
    settings = compose("algo=gidd", "model=small", "seed=7", "data=lm1b")
    assert settings["checkpointing"]["save_dir"] == "outputs/lm1b/gidd-small/seed7"


def test_an_experiment_can_be_overridden() -> None:
    settings = compose("experiment=shakespeare_char", "data.path=x", "trainer.max_steps=5")
    assert settings["trainer"]["max_steps"] == 5
    assert settings["model"]["length"] == 64
    assert settings["lr_scheduler"]["name"] == "cosine_warmup"
