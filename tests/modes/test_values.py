"""Single values that cannot be meant, and loggers that cannot begin."""

from pathlib import Path

import pytest

import main
from modes.checks.combinations import check
from modes.checks.keys import checked
from modes.settings import stored
from tests.composed import composed

REFUSED = {
    "trainer.gradient_clip_val=0": "trainer.gradient_clip_val=0: must be positive",
    "trainer.gradient_clip_val=-1": "trainer.gradient_clip_val=-1: must be positive",
    "optim.eps=0": "optim.eps=0: must be positive",
    "optim.beta1=1": "optim.beta1=1: must be at least 0 and below 1",
    "optim.weight_decay=-1": "optim.weight_decay=-1: must be at least 0",
    "noise.eps=0": "noise.eps=0: must lie between 0 and 1",
    "noise.eps=1": "noise.eps=1: must lie between 0 and 1",
    "noise=geometric noise.sigma_min=30": "noise.sigma_min=30: must be below noise.sigma_max",
    "trainer.val_check_interval=0": "trainer.val_check_interval=0: must be at least 1",
    "trainer.limit_val_batches=-1": "trainer.limit_val_batches=-1: must be at least 0",
    "trainer.precision=8": "trainer.precision=8: choose from 32, ",
    "trainer.precision=16": "trainer.precision=16: choose from 32, ",
    "trainer.precision=16-mixed": "trainer.precision='16-mixed': choose from 32, ",
    "trainer.accelerator=x": "trainer.accelerator='x': choose from auto, cpu",
    "trainer.devices=0": "trainer.devices=0: must be auto, a number or a list",
    "trainer.devices=x": "trainer.devices='x': must be auto",
    "trainer.devices=1.5": "trainer.devices=1.5: must be auto",
    "sampling.top_k=abc": "sampling.top_k='abc': must be a number",
    "algo=duo algo.gamma_min=abc": "algo.gamma_min='abc': must be a number",
    "algo=duo algo.curriculum_steps=-1": "algo.curriculum_steps=-1: must be at least 0",
    "algo=duo algo.curriculum_steps=3 algo.curriculum_share=1": (
        "algo.curriculum_share=1: algo.curriculum_steps=3 says"
    ),
    "wandb.project=x": "wandb.project=x: no login to Weights & Biases here",
    "tensorboard=true": "tensorboard=true: the package tensorboard is not installed",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_a_value_that_cannot_be_meant_is_refused(
    typed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr("modes.checks.loggers.importlib.util.find_spec", installed)
    given = typed.split()
    with pytest.raises(ValueError) as caught:
        check(composed(*given), main.keys_of(given))
    assert str(caught.value).startswith(REFUSED[typed])


def installed(name: str) -> object | None:
    return None if name == "tensorboard" else object()


@pytest.mark.parametrize("devices", ["auto", -1, 2, "2", "0,1", [0, 1]])
def test_devices_as_lightning_takes_them(devices: object) -> None:
    plain = stored(composed())
    plain["trainer"]["devices"] = devices
    assert checked(plain).trainer.devices == devices


@pytest.mark.parametrize("way", ["key", "netrc", "offline", "mode"])
def test_a_login_is_a_key_a_netrc_or_none_needed(
    way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("modes.checks.loggers.importlib.util.find_spec", installed)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    if way == "netrc":
        (tmp_path / "netrc").write_text("machine api.wandb.ai\n  login user\n  password x\n")
    elif way != "offline":
        monkeypatch.setenv(*{"key": ("WANDB_API_KEY", "x"), "mode": ("WANDB_MODE", "offline")}[way])
    made = composed("wandb.name=x", f"wandb.offline={'true' if way == 'offline' else 'false'}")
    check(made, set())
