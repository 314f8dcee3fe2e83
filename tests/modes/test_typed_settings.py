"""Settings as dataclasses hold the values of the plain ones."""

from dataclasses import asdict
from pathlib import Path

import pytest
from hydra import initialize_config_dir

import main
from algos.settings import ALGOS, MDLM
from data.settings import CORPORA, Data
from diffusion.settings import NOISES
from modes.settings import Settings, stored, typed
from training.settings import LR_SCHEDULERS

CONFIGS = Path(main.__file__).parent / "configs"
CHOICES = [f"algo={name}" for name in ALGOS] + [f"lr_scheduler={name}" for name in LR_SCHEDULERS]
CHOICES += [f"noise={name}" for name in NOISES]
CHOICES += [f"data={name}" for name in ("stdlib", "shakespeare", "text", "lm1b", "markov")]


def compose(*overrides: str) -> Settings:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return main.compose(list(overrides))


@pytest.mark.parametrize("choice", CHOICES)
def test_typed_settings_are_stored_and_read(choice: str) -> None:
    settings = compose(choice)
    assert typed(stored(settings)) == settings


def test_typed_settings_of_a_model_that_says_little_have_defaults() -> None:
    options = typed({"algo": {"name": "mdlm"}, "data": {"name": "owt"}, "noise": {}})
    assert options.algo == MDLM() and options.model == Settings().model
    assert type(options.data) is Data and options.data.name == "owt"


def test_typed_settings_have_what_the_corpus_has_no_field_for_beside_it() -> None:
    data = asdict(CORPORA["stdlib"]()) | {"path": "a"}
    settings = typed({"data": data})
    assert settings.data == CORPORA["stdlib"]() and settings.more_data == {"path": "a"}
    assert list(stored(settings)["data"].items()) == list(data.items())


@pytest.mark.parametrize(("node", "by"), [("algo", "name"), ("data", "corpus"), ("noise", "name")])
def test_typed_settings_refuse_a_kind_that_there_is_not(node: str, by: str) -> None:
    with pytest.raises(ValueError, match=rf"^{node}\.{by}='other': choose from "):
        typed({node: {by: "other"}})
