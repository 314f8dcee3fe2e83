"""Devices: the processes of a launcher, the precision of a GPU, Apple's GPUs."""

from typing import Any

import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy

from backbones.settings import Model
from modes import build
from modes import devices as chosen
from modes.checks.machine import LAUNCHED
from training.settings import Strategy, Trainer


@pytest.mark.parametrize(("name", "launcher"), LAUNCHED.items())
@pytest.mark.parametrize(
    ("devices", "nodes", "started"), [("auto", 1, 2), (1, 1, 4), (2, 2, 2), ([0, 1], 1, 3)]
)
def test_check_launch_counts_processes_as_the_launcher(
    name: str,
    launcher: str,
    devices: Any,
    nodes: int,
    started: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(name, str(started))
    trainer = Trainer(devices=devices, num_nodes=nodes, accelerator="cpu")
    with pytest.raises(ValueError, match=rf"^trainer.devices=.*{launcher} started {started} proc"):
        chosen.check_launch(trainer)
    count = 1 if devices == "auto" else devices if isinstance(devices, int) else len(devices)
    monkeypatch.setenv(name, str(count * nodes))
    chosen.check_launch(trainer)


@pytest.mark.parametrize(("devices", "count"), [("0,1", 2), ("-1", 1), (-1, 1)])
def test_check_launch_of_devices_by_list(
    devices: Any, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(devices=devices, accelerator="cpu")
    monkeypatch.setenv("WORLD_SIZE", str(count))
    chosen.check_launch(trainer)
    monkeypatch.setenv("WORLD_SIZE", str(count + 1))
    with pytest.raises(ValueError, match="torchrun started"):
        chosen.check_launch(trainer)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A GPU that computes in bfloat16, or, as torch says of older ones, only imitates it."""
    native = request.param

    def supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")


def precision(asked: Any, accelerator: str = "auto") -> Any:
    return chosen.precision(Trainer(precision=asked, accelerator=accelerator))


@pytest.mark.parametrize(
    ("gpu", "default"), [(True, "bf16-mixed"), (False, "32-true")], indirect=["gpu"]
)
def test_precision_is_bf16_where_the_gpu_computes_in_it(gpu: None, default: str) -> None:
    assert precision(None) == default
    assert precision("32-true") == "32-true"
    assert precision(None, "cpu") == "32-true"
    assert precision("bf16-mixed", "cpu") == "bf16-mixed"


@pytest.mark.parametrize("gpu", [False], indirect=True)
@pytest.mark.parametrize("asked", ["bf16", "bf16-mixed", "bf16-true"])
def test_precision_that_a_gpu_imitates_is_refused(gpu: None, asked: str) -> None:
    message = f"^trainer.precision={asked}: Tesla T4 does not compute in bfloat16; choose 32-true$"
    with pytest.raises(ValueError, match=message):
        precision(asked)


def test_accelerator_leaves_apples_gpus_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen.MPSAccelerator, "is_available", staticmethod(lambda: True))
    assert chosen.accelerator("auto") == chosen.accelerator("cpu") == "cpu"
    for named in ("gpu", "mps"):
        with pytest.raises(ValueError, match=f"^trainer.accelerator={named}: .*no float64"):
            chosen.accelerator(named)


@pytest.mark.parametrize(
    ("devices", "interactive", "is_ddp"), [(8, False, True), (8, True, False), (1, False, False)]
)
def test_strategy_auto_is_ddp_on_several_gpus(
    devices: int, interactive: bool, is_ddp: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: devices)
    monkeypatch.setattr(build, "_IS_INTERACTIVE", interactive)
    found = build.make_strategy(Strategy(), Trainer())
    assert isinstance(found, DDPStrategy) is is_ddp
    if isinstance(found, DDPStrategy):
        assert found._ddp_kwargs == build.make_strategy(Strategy(name="ddp"), Trainer())._ddp_kwargs
    assert build.make_strategy(Strategy(), Trainer(accelerator="cpu")) == "auto"


@pytest.mark.parametrize(
    ("kind", "capability", "packages", "compilers", "expected"),
    [
        ("cuda", (9, 0), ["triton"], ["gcc"], True),
        ("cuda", (7, 0), ["triton"], ["clang"], True),
        ("cuda", (6, 1), ["triton"], ["gcc"], False),
        ("cuda", (9, 0), ["triton"], [], False),
        ("cuda", (9, 0), [], ["gcc"], False),
        ("cpu", (9, 0), ["triton"], ["gcc"], False),
    ],
)
def test_blocks_are_compiled_where_triton_can(
    kind: str,
    capability: tuple[int, int],
    packages: list[str],
    compilers: list[str],
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(chosen.shutil, "which", lambda name: name if name in compilers else None)
    monkeypatch.setattr(
        chosen.importlib.util, "find_spec", lambda name: name if name in packages else None
    )
    assert chosen.compiles(torch.device(kind)) is expected


def test_kernels_of_the_loss_need_a_gpu_that_has_triton() -> None:
    chosen.check_kernels(Model(loss_kernels=False), torch.device("cpu"))
    with pytest.raises(ValueError, match=r"model\.loss_kernels=true: needs a CUDA device"):
        chosen.check_kernels(Model(loss_kernels=True), torch.device("cpu"))
