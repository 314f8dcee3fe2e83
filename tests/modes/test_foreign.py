"""Command lines of s-sahoo/duo and kuleshov-group/mdlm, and ours in docs/coming-from.md."""

import re
import sys
from pathlib import Path

import pytest
from hydra import initialize_config_dir

import main
from modes.checks.combinations import check
from modes.checks.foreign import LEFT_OUT, REFUSED, TAKEN, translate
from modes.checks.groups import GROUPS
from modes.settings import Settings
from schema.fields import walk
from tests.changed import changed
from tests.modes.conftest import lookup

PAGE = (main.ROOT / "docs" / "coming-from.md").read_text()
PAIRS = re.findall(r"^theirs: (.*)\nours:   (.*)$", PAGE, re.MULTILINE)
DUO = PAIRS[0][0].split()
OURS = {key for key, _ in walk(Settings)} | set(GROUPS) | {"callbacks.NAME.KEY"}


def composed(overrides: list[str]) -> Settings:
    with initialize_config_dir(str(main.ROOT / "configs"), version_base="1.3"):
        return main.compose(overrides)


def test_there_are_ten_of_each() -> None:
    first, second = PAGE.split("## kuleshov-group/mdlm")
    assert (first.count("theirs: "), second.count("theirs: ")) == (10, 10)
    assert len(PAIRS) == 20, "each with ours"


@pytest.mark.parametrize(("theirs", "ours"), PAIRS, ids=range(len(PAIRS)))
def test_ours_composes_and_theirs_is_taken_or_told(
    theirs: str, ours: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "x")
    given = ours.split()
    settings = composed(given)
    mode = "benchmark" if settings.mode == "train" else settings.mode  # no teacher is there
    check(changed(settings, mode=mode), main.keys_of(given))
    said = translate(theirs.split())
    assert len(said.notes) + len(said.refused) >= len(theirs.split()) - len(said.arguments)
    for line in said.refused:
        named = re.findall(r"\b[a-z_]+(?:\.[a-z_A-Z]+|(?==))", line.split("instead: ")[1])
        assert any(key in OURS for key in named), line


def test_the_same_training_comes_of_both() -> None:
    """Every key of the published curriculum, by their names."""
    said = translate(DUO)
    assert not said.refused
    theirs = composed(said.arguments).algo
    ours = composed(["experiment=owt_duo"])
    assert theirs == changed(ours, algo={"max_steps": 1000}).algo
    assert {line.partition("=")[0] for line in said.notes} == {
        text.partition("=")[0] for text in DUO if text.startswith("algo.curriculum.")
    }


def test_older_names_of_the_curriculum_are_the_same() -> None:
    older = [re.sub(r"curriculum\.(start|end|mode)", r"curriculum_\1", text) for text in DUO]
    older = [re.sub(r"curriculum\.(gumbel|gamma)", r"\1", text) for text in older]
    older = [text for text in older if "curriculum_mode" not in text]
    theirs = composed([*translate(older).arguments, "algo.curriculum=full"]).algo
    assert theirs == composed(translate(DUO).arguments).algo


MEANINGS = {  # taken, left out (None) or refused (with a part of what is said)
    "algo=d3pm algo.T=500": ["algo=d3pm", "algo.T=500"],
    "experiment=owt_d3pm algo.T=500": ["experiment=owt_d3pm", "algo.T=500"],
    "parameterization=d3pm T=500": ["algo=d3pm", "algo.T=500"],
    "algo=mdlm algo.T=0": ["algo=mdlm"],
    "algo=mdlm algo.T=1000": "algo=d3pm with algo.T=1000",
    "T=1000": "algo=d3pm with algo.T=1000",
    "time_conditioning=True": ["algo.time_conditioning=True"],
    "algo=mdlm algo.time_conditioning=true": ["algo=mdlm", "algo.time_conditioning=true"],
    "algo=sedd algo.time_conditioning=False": "algo=mdlm alone has the choice",
    "algo=duo_base parameterization=mean": "algo=ar, d3pm, mdlm or sedd",
    "backbone=dimamba": "the network is a DiT",
    "eval.generate_samples=True": "mode=sample_eval draws",
    "data.insert_train_eos=False": "data.insert_eos",
    "data.insert_valid_eos=False": "data.insert_eos",
    "mode=ppl_eval data.insert_valid_eos=False": ["mode=ppl_eval", "data.insert_eos=False"],
    "sampling.nucleus_p=0.9": ["sampling.p_nucleus=0.9", "sampling.nucleus=drop-crossing"],
    "sampling.semi_ar=True sampling.predictor=ddpm_cache": ["sampling.predictor=semi_ar"],
    "mode=sample_eval sampling.num_sample_batches=0": [
        "mode=sample_eval",
        "sampling.num_sample_batches=0",
    ],
    "algo.curriculum.gumbel_tau_log10_start=-1 algo.curriculum.gumbel_tau_log10_end=-2": "algo.tau",
    "algo.curriculum.start=100": "algo.curriculum_steps",
    "mode=sample": "mode=sample_eval",
    "~wandb": [],
    "hydra.run.dir=a b": ["checkpointing.save_dir=a b"],
    'hydra.run.dir="."': ['hydra.run.dir="."'],
    "--config-dir T=3": ["--config-dir", "T=3"],
}


@pytest.mark.parametrize("typed", MEANINGS)
def test_a_key_is_taken_for_what_it_means(typed: str) -> None:
    arguments = [typed] if typed.startswith("hydra") else typed.split()
    said, wanted = translate(arguments), MEANINGS[typed]
    if isinstance(wanted, str):
        assert any(f"instead: {wanted}" in line or wanted in line for line in said.refused)
    else:
        assert (said.arguments, said.refused) == (wanted, [])
        assert len(said.notes) >= (said.arguments != arguments)


def test_the_table_is_of_keys_that_are_not_ours() -> None:
    """An entry without a value would hide a key of the suite; what is taken is one."""
    ours = [composed([f"algo={name}"]) for name in ("ar", "d3pm", "duo", "duo_distill", "mdlm")]
    ours.append(composed(["data=text"]))
    for name in (*TAKEN, *LEFT_OUT, *REFUSED):
        if "=" not in name and not name.startswith(("~", "trainer.")):
            key = name.removesuffix(".*")
            strings = key == "algo.curriculum"  # a text here, keys there
            assert strings or all(lookup(settings, key) is None for settings in ours), name
    for taken in " ".join(TAKEN.values()).split():
        key = taken.partition("=")[0]
        assert key in OURS, taken
    assert not TAKEN.keys() & LEFT_OUT.keys() | TAKEN.keys() & REFUSED.keys()


def test_all_of_a_command_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    """Foreign keys and typos, one line each and the rest by name; then nothing is run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(main.QUIET, "1")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    line = "T=1000 backbone=dimamba trainer.stepz=1 +training.emaa=1 optim.lrr=2 modle=3 seedd=1"
    monkeypatch.setattr(sys, "argv", ["main.py", *line.split()])
    with pytest.raises(SystemExit) as ended:
        main.command_line()
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert [text.split(": ")[1] for text in said[:2]] == ["T=1000", "backbone=dimamba"]
    keys = [text.split(": ")[1] for text in said[2:5]]
    keys += said[5].removeprefix("error: and 2 more: ").split(", ")
    assert sorted(keys) == ["modle", "optim.lrr", "seedd", "trainer.stepz", "training.emaa"]
