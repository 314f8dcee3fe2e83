"""BD3-LM's published models: what its code computed, and folders that are written as it does."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from algos.base import batch_of
from algos.bd3lm import BD3LM
from algos.denoising import Noised
from backbones.attention import Pattern
from data.tokenizers import make_tokenizer
from hub.export_published import published_layout
from hub.open import open_model
from tests.hub.files import HUB, hub_folder, weights
from tests.hub.test_lightning import checkpoint, duo
from tests.hub.test_published_numbers import LOGITS, LOSSES, close

BLOCKS = HUB | {"model_type": "bd3lm", "vocab_size": 9, "block_size": 3}
BLOCKS |= {"sampling_eps_min": 0.3, "sampling_eps_max": 0.8}
pytestmark = pytest.mark.usefixtures("nothing_runs")


@pytest.fixture
def model(imported: Any, algorithm_of: Any) -> BD3LM:
    algorithm = algorithm_of(imported("hf/bd3lm"))
    assert isinstance(algorithm, BD3LM) and algorithm.block_size == 4
    return algorithm


@pytest.fixture
def arrays(expected: Any) -> dict[str, Tensor]:
    return expected("hf_bd3lm")


@torch.no_grad()
def test_bd3lm_outputs_and_losses_are_the_published_ones(
    model: BD3LM, arrays: dict[str, Tensor]
) -> None:
    x, z = arrays["x0"], arrays["z"]
    t = arrays["t_block"].double().repeat_interleave(4, 1)
    logits = model.backbone.head(model.hidden_of(x, z, t))
    close(logits, arrays["logits"][..., :-1], LOGITS)
    where = z == model.process.mask
    log_p = logits.log_softmax(-1)
    close(log_p[where], arrays["log_p_x0"][..., :-1][where], LOGITS)
    batch, noised = batch_of(x, given=0), Noised(model.training_process, t, z, torch.ones_like(t))
    values = model.per_token(model.loss, batch, noised)
    # published with 1 / t; the training process has (1 - eps) / (1 - (1 - eps) t) of the same share
    process = Noised(model.process, t, z, torch.ones_like(t))
    close(model.per_token(model.loss, batch, process), arrays["nll"], LOSSES, relative=True)
    assert values.shape == x.shape


@torch.no_grad()
def test_bd3lm_reads_the_last_block_as_published_samplers_do(
    model: BD3LM, arrays: dict[str, Tensor]
) -> None:
    """Every text at once, and with keys and values of what is finished."""
    tokens, recorded = arrays["sample_mode.input"], arrays["sample_mode.logits"][..., :-1]
    net = model.backbone
    close(net.head(net(tokens, pattern=Pattern(4))), recorded, LOGITS)
    readers = []

    def opened(open_reader: Any, process: Any, tokens: Tensor, fixed: Tensor) -> Tensor:
        readers.append(open_reader(True))
        return tokens

    model.sample(tokens, tokens.bool(), opened)
    readers[0].finish(tokens[:, :12])
    hidden = readers[0](tokens[:, 12:], torch.zeros(len(tokens))).hidden
    close(net.head(hidden), recorded[:, 12:], LOGITS)


def test_bd3lm_folder_says_its_blocks_and_its_clip(tmp_path: Path) -> None:
    clip = {"sampling_eps_min": torch.tensor(0.3), "sampling_eps_max": torch.tensor(0.8)}
    folder = hub_folder(tmp_path / "a", BLOCKS, weights(9) | clip)
    config = open_model(str(folder)).checkpoint["config"]
    assert config["algo"] == {
        "name": "bd3lm",
        "block_size": 3,
        "noise": "masked",
        "sampling_eps_min": 0.3,
        "sampling_eps_max": 0.8,
    }
    assert config["data"]["framing"] == "bos"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"block_size": 4}, "block_size=4: must be a divisor of 6, the length"),
        ({"block_size": None}, "block_size=None: must be an integer"),
        ({"time_conditioning": True}, "time_conditioning=True: must be one of"),
        ({"cross_attn": False}, "cross_attn=False: must be one of"),
        ({"sampling_eps_min": "low"}, "sampling_eps_min=low: must be a number"),
    ],
)
def test_bd3lm_folder_of_another_model_is_refused(
    change: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    folder = hub_folder(tmp_path / "a", BLOCKS | change, weights(9))
    with pytest.raises(ValueError, match=reason):
        open_model(str(folder))


def test_bd3lm_lightning_checkpoint_has_its_clip_among_the_weights(tmp_path: Path) -> None:
    config = duo("bd3lm", time_conditioning=False) | {"block_size": 2}
    config |= {"training": {"sampling_eps_min": 1e-3, "sampling_eps_max": 1.0}}
    there = {f"backbone.{name}": tensor for name, tensor in weights(9).items()}
    clip = {key: torch.tensor(0.5) for key in ("sampling_eps_min", "sampling_eps_max")}
    ema = {"shadow_params": [2 * tensor for tensor in there.values()]}
    model = open_model(checkpoint(tmp_path, config, state_dict=clip | there, ema=ema))
    assert model.checkpoint["config"]["algo"]["block_size"] == 2
    first = "backbone.embedding.weight"
    raw, averaged = model.checkpoint["state_dict"][first], model.checkpoint["ema"]["weights"][first]
    assert torch.equal(averaged, 2 * raw)


def test_bd3lm_export_is_read_again(tmp_path: Path, imported: Any) -> None:
    """To the last bit, mask and clip in their places."""
    model = imported("hf/bd3lm")
    config, state = model.checkpoint["config"], model.checkpoint["state_dict"]
    tokenizer = make_tokenizer("symbols:59")
    assert tokenizer.vocab_size == model.vocab_size == 60
    settings, tensors, last = published_layout(config, state, model.vocab_size, tokenizer)
    assert last and settings["block_size"] == 4 and settings["sampling_eps_max"] == 0.999
    (tmp_path / "config.json").write_text(json.dumps(settings))
    save_file({k: v.contiguous() for k, v in tensors.items()}, tmp_path / "model.safetensors")
    again = open_model(str(tmp_path)).checkpoint
    assert again["config"]["algo"] == config["algo"]
    assert again["config"]["model"] == config["model"]
    for name, tensor in state.items():
        assert torch.equal(again["state_dict"][name], tensor), name


def test_bd3lm_export_of_uniform_noise_has_no_layout(imported: Any) -> None:
    model = imported("hf/bd3lm")
    config = model.checkpoint["config"]
    config = config | {"algo": config["algo"] | {"noise": "uniform"}}
    with pytest.raises(ValueError, match=r"algo=bd3lm of algo.noise=uniform has no published"):
        published_layout(config, model.checkpoint["state_dict"], 60, make_tokenizer("symbols:59"))
