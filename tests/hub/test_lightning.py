"""Lightning checkpoints: which algorithm their configuration means, and where their mask is."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from transformers import AutoTokenizer

from hub.lightning import mask_of
from hub.open import open_model
from hub.torch_file import read_torch_file
from tests.hub.files import SIZES, weights

MDLM = {"backbone": "dit", "subs_masking": False, "time_conditioning": False, "T": 0}
TOKENIZERS = Path(__file__).resolve().parents[2].parent / "shared" / "tokenizers"


def checkpoint(folder: Path, config: dict[str, Any], **changes: Any) -> str:
    """A file as Lightning writes it; the configuration with the sizes of a network that fits."""
    base = {
        "model": SIZES,
        "noise": {"type": "log-linear"},
        "trainer": {"max_steps": 10, "devices": "${device_count:}"},
    }
    name = config.get("parameterization", config.get("algo", {}).get("name"))
    tensors = weights(9, causal=name == "ar")
    content = {
        "global_step": 7,
        "state_dict": {f"backbone.{name}": tensor for name, tensor in tensors.items()},
        "hyper_parameters": {"config": OmegaConf.create(base | config)},
    }
    torch.save(content | changes, folder / "a.ckpt")
    return str(folder / "a.ckpt")


def duo(name: str, **changes: Any) -> dict[str, Any]:
    return {"algo": MDLM | {"name": name, "time_conditioning": True} | changes}


def mdlm(parameterization: str, diffusion: str = "absorbing_state", **changes: Any) -> Any:
    keys = {"parameterization": parameterization, "diffusion": diffusion}
    return MDLM | keys | {"time_conditioning": True} | changes


@pytest.mark.parametrize(
    ("config", "algo", "states"),
    [
        (duo("mdlm"), {"name": "mdlm", "time_conditioning": True}, 8),
        (duo("sedd"), {"name": "sedd"}, 8),
        (duo("d3pm", T=500), {"name": "d3pm", "T": 500}, 8),
        (duo("ar", time_conditioning=False), {"name": "ar"}, 8),
        (duo("duo_base"), {"name": "udlm"}, 9),
        (duo("duo"), {"name": "duo", "max_steps": 10}, 9),
        (duo("distillation", T=64), {"name": "duo_distill", "max_steps": 10}, 9),
        (mdlm("subs", time_conditioning=False), {"name": "mdlm", "time_conditioning": False}, 8),
        (mdlm("sedd"), {"name": "sedd"}, 8),
        (mdlm("d3pm", T=1000), {"name": "d3pm", "T": 1000}, 8),
        (mdlm("ar", backbone="ar"), {"name": "ar"}, 8),
        (mdlm("d3pm", "uniform"), {"name": "udlm"}, 9),
    ],
)
def test_lightning_configuration_names_the_algorithm(
    config: dict[str, Any], algo: dict[str, Any], states: int, tmp_path: Path
) -> None:
    model = open_model(checkpoint(tmp_path, config))
    assert model.checkpoint["config"]["algo"] == algo
    assert model.vocab_size == states
    assert model.checkpoint["global_step"] == 7
    assert not model.averaged


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (duo("bd3lm", time_conditioning=False), "config: block_size=None: must be an integer"),
        (
            duo("bd3lm", time_conditioning=False) | {"block_size": 5},
            "block_size=5: must be a divisor of 6",
        ),
        (duo("other"), "config: algo.name=other: must be one of those that are known here"),
        (duo("mdlm", T=100), r"algo.T=100: must be one of those that are known here \(0, absent\)"),
        (duo("sedd", time_conditioning=False), "algo.time_conditioning=False: must be true: sedd"),
        (duo("mdlm", backbone="dimamba"), "algo.backbone=dimamba"),
        (mdlm("subs", "uniform"), "parameterization=subs: must be d3pm where diffusion=uniform"),
        (duo("mdlm") | {"noise": {"type": "linear"}}, "noise.type=linear"),
        (duo("mdlm") | {"model": SIZES | {"n_blocks": "${x}"}}, "model.n_blocks=<"),
        (duo("mdlm") | {"model": SIZES | {"length": 0}}, "model.length=0: must be an integer"),
        (
            duo("mdlm") | {"model": SIZES | {"tie_word_embeddings": True}},
            "tie_word_embeddings=True",
        ),
    ],
)
def test_lightning_configuration_that_nothing_here_computes_is_refused(
    config: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=reason.replace("<", "")):
        open_model(checkpoint(tmp_path, config))


def test_lightning_keys_lose_the_mark_of_compiled_blocks_wherever_it_stands(tmp_path: Path) -> None:
    tensors = weights(9)
    marked = {
        f"backbone.{name.replace('blocks.1.', 'blocks.1._orig_mod.')}": tensor
        for name, tensor in tensors.items()
    }
    model = open_model(checkpoint(tmp_path, duo("mdlm"), state_dict=marked))
    whole = open_model(checkpoint(tmp_path, duo("mdlm")))
    assert model.checkpoint["state_dict"].keys() == whole.checkpoint["state_dict"].keys()


@pytest.mark.parametrize(
    ("shadow", "reason"),
    [
        ([torch.ones(2)], "ema.shadow_params has 1 tensors, the network"),
        ("names", "ema.shadow_params has no tensors"),
        ("reversed", "ema.shadow_params does not follow the parameters"),
        ("numbers", "is a int, not a tensor"),
    ],
)
def test_lightning_average_that_does_not_follow_the_parameters_is_refused(
    shadow: Any, reason: str, tmp_path: Path
) -> None:
    tensors = list(weights(9).values())
    wrong = {"names": {}, "reversed": tensors[::-1], "numbers": [1] * len(tensors)}
    ema = {"shadow_params": wrong[shadow] if isinstance(shadow, str) else shadow}
    with pytest.raises(ValueError, match=reason):
        open_model(checkpoint(tmp_path, duo("mdlm"), ema=ema))


class SlowTokenizer:
    """The state of a tokenizer of transformers 4 without the library tokenizers."""

    def __init__(self, mask: Any) -> None:
        self.vocab = OrderedDict([("[PAD]", 0), ("[MASK]", 3), ("word", 4)])
        self._mask_token = mask


@pytest.mark.parametrize(("mask", "number"), [("[MASK]", 3), (None, None), ("<mask>", None)])
def test_mask_of_a_slow_tokenizer_is_in_its_vocabulary(
    mask: Any, number: int | None, tmp_path: Path
) -> None:
    torch.save(SlowTokenizer(mask), tmp_path / "tokenizer.pt")
    assert mask_of(read_torch_file(tmp_path / "tokenizer.pt")) == number


@pytest.mark.parametrize(("name", "number"), [("bert-base-uncased", 103), ("gpt2", None)])
def test_mask_of_a_fast_tokenizer_is_in_its_text(
    name: str, number: int | None, tmp_path: Path
) -> None:
    if not (TOKENIZERS / name).is_dir():
        pytest.skip(f"no tokenizer at {TOKENIZERS / name}")
    torch.save(AutoTokenizer.from_pretrained(TOKENIZERS / name), tmp_path / "tokenizer.pt")
    assert mask_of(read_torch_file(tmp_path / "tokenizer.pt")) == number


@pytest.mark.parametrize("state", [None, [], {"_tokenizer": b"{"}, {"_mask_token": []}])
def test_mask_of_what_is_no_tokenizer_is_not_known(state: Any, tmp_path: Path) -> None:
    tokenizer = SlowTokenizer(None)
    tokenizer.__dict__ = state if isinstance(state, dict) else {}
    torch.save(tokenizer, tmp_path / "tokenizer.pt")
    assert mask_of(read_torch_file(tmp_path / "tokenizer.pt")) is None
    assert mask_of(state) is None


def test_lightning_mask_in_the_middle_is_the_last_id_here(tmp_path: Path) -> None:
    file = checkpoint(tmp_path, duo("mdlm"))
    content = torch.load(file, weights_only=False)
    content["hyper_parameters"]["tokenizer"] = SlowTokenizer("[MASK]")
    torch.save(content, file)
    by_tokenizer, by_hand = open_model(file), open_model(checkpoint(tmp_path, duo("mdlm")), mask=3)
    assert by_tokenizer.mask == by_hand.mask == 3
    table = weights(9)["vocab_embed.embedding"]
    for model in (by_tokenizer, by_hand):
        assert torch.equal(model.checkpoint["state_dict"]["backbone.embedding.weight"][8], table[3])
