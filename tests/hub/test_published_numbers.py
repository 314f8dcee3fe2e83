"""Imported models compute what the published programs computed: logits, parameterised predictions
and losses per token."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from algos.base import Algorithm, batch_of
from algos.d3pm import D3PM
from algos.denoising import DiffusionAlgorithm, Noised
from diffusion.bound import interpolating_bound, interpolating_weight, masked_bound
from diffusion.score_entropy import masked_score_entropy
from hub.imported_model import ImportedModel

LOGITS = 5e-5  # absolute
LOSSES = 2e-4  # of 1 + |loss|
FILES = {
    "ckpt/mdlm.ckpt": "ckpt_mdlm",
    "ckpt/duo_mdlm.ckpt": "ckpt_duo_mdlm",
    "ckpt/mdlm_compiled.ckpt": "ckpt_compiled",
    "ckpt/sedd.ckpt": "ckpt_duo_sedd",
    "ckpt/d3pm.ckpt": "ckpt_d3pm",
    "ckpt/duo_base.ckpt": "ckpt_duo_base",
    "ckpt/duo.ckpt": "ckpt_duo",
    "ckpt/duo_distilled.ckpt": "ckpt_duo_distilled",
    "hf/mdlm": "hf_mdlm",
    "hf/duo": "hf_duo",
    "hf/sedd": "hf_sedd",
    "hf/sedd-bin": "hf_sedd_bin",
    "hf/gidd": "hf_gidd",
    "local/sedd": "local_sedd",
    "local/gidd_v1.0.1": "local_gidd",
    "hostile/base.ckpt": "hostile_base_ckpt",
    "hostile/base": "hostile_base_folder",
}
RAW = [name for name in FILES if name.endswith(".ckpt")] + ["local/sedd"]
BOUNDS: dict[str, Callable[..., Tensor]] = {
    "mdlm": masked_bound,
    "sedd": masked_score_entropy,
    **dict.fromkeys(("udlm", "duo", "duo_distill", "gidd"), interpolating_bound),
}

pytestmark = pytest.mark.usefixtures("nothing_runs")


def close(value: Tensor, recorded: Tensor, tolerance: float, relative: bool = False) -> None:
    assert value.shape == recorded.shape
    error = (value.double() - recorded.double()).abs()
    scale = 1 + recorded.double().abs() if relative else 1.0
    assert float((error / scale).max()) < tolerance


@torch.no_grad()
def outputs(algorithm: DiffusionAlgorithm, arrays: dict[str, Tensor]) -> Tensor:
    """(B, L, V) at the recorded times."""
    t = arrays.get("t_used", arrays["t"]) if isinstance(algorithm, D3PM) else arrays["t"]
    return algorithm.backbone.head(algorithm.hidden(arrays["z"], t.double()))


@torch.no_grad()
def nats(algorithm: DiffusionAlgorithm, name: str, batch: Any, arrays: dict[str, Tensor]) -> Tensor:
    """(B, L) losses at the recorded times and noisy tokens, as the published code states them."""
    process, x, z, t = algorithm.training_process, arrays["x0"], arrays["z"], arrays["t"].double()
    if isinstance(algorithm, D3PM):
        noised = Noised(process, arrays["t_used"].double(), z, torch.ones_like(t))
        return algorithm.terms(batch, noised, one_in=1)
    noised = Noised(process, t, z, torch.ones_like(t))
    values = algorithm.per_token(BOUNDS[name], batch, noised)
    if name == "gidd":  # stated per token as w (KL + r - log r) + keep' / keep
        mix, rate = process.mix(t)
        values = values + interpolating_weight(x, z, mix, rate, algorithm.vocab_size)
        values = values + rate.keep / mix.keep
    return values


@pytest.mark.parametrize("name", FILES)
def test_logits_of_an_imported_model_are_the_published_ones(
    name: str, imported: Any, algorithm_of: Any, expected: Any
) -> None:
    arrays, algorithm = expected(FILES[name]), algorithm_of(imported(name))
    logits = outputs(algorithm, arrays)
    recorded = arrays.get("logits", arrays.get("logits_before_shift"))
    assert recorded is not None
    close(logits, recorded[..., : logits.shape[-1]], LOGITS)


@pytest.mark.parametrize("name", [name for name in FILES if "sedd" not in name])
def test_predictions_of_an_imported_model_are_the_published_ones(
    name: str, imported: Any, algorithm_of: Any, expected: Any
) -> None:
    """log p(x_0 | z) at the positions where it is drawn from: a masked process keeps the others."""
    arrays, algorithm = expected(FILES[name]), algorithm_of(imported(name))
    log_p = outputs(algorithm, arrays).log_softmax(-1)
    where = (arrays["z"] == algorithm.process.mask) | algorithm.process.has_noise
    close(log_p[where], arrays["log_p_x0"][..., : log_p.shape[-1]][where], LOGITS)


@pytest.mark.parametrize("name", [name for name in FILES if "sedd" in name])
def test_scores_of_an_imported_model_are_the_published_ones(
    name: str, imported: Any, algorithm_of: Any, expected: Any
) -> None:
    """log s_y = log(keep / mask) + output_y - log N at masked positions."""
    arrays, algorithm = expected(FILES[name]), algorithm_of(imported(name))
    mix = algorithm.training_process.schedule(arrays["t"].double())
    shift = (mix.keep / mix.mask).log() - torch.tensor(float(algorithm.vocab_size)).log()
    log_s = outputs(algorithm, arrays) + shift.unsqueeze(-1)
    where = arrays["z"] == algorithm.process.mask
    close(log_s[where], arrays["log_score"][..., :-1][where], LOGITS)


@pytest.mark.parametrize(
    ("name", "averaged"), [*((name, True) for name in FILES), *((name, False) for name in RAW)]
)
def test_losses_of_an_imported_model_are_the_published_ones(
    name: str, averaged: bool, imported: Any, algorithm_of: Any, expected: Any
) -> None:
    model, arrays = imported(name), expected(FILES[name])
    algorithm = algorithm_of(model, averaged)
    kind = model.checkpoint["config"]["algo"]["name"]
    values = nats(algorithm, kind, batch_of(arrays["x0"], given=0), arrays)
    close(values, arrays["nll" if averaged else "raw_weights.nll"], LOSSES, relative=True)


@pytest.mark.parametrize("averaged", [True, False])
def test_an_imported_autoregressive_model_has_the_published_numbers(
    averaged: bool, imported: Any, algorithm_of: Any, expected: Any
) -> None:
    arrays, prefix = expected("ckpt_duo_ar"), "" if averaged else "raw_weights."
    algorithm: Algorithm = algorithm_of(imported("ckpt/ar.ckpt"), averaged)
    tokens = torch.cat([arrays["input"], arrays["target"][:, -1:]], dim=1)
    with torch.no_grad():
        logits = algorithm.backbone.head(algorithm.backbone(arrays["input"]))
        values = algorithm.nll(batch_of(tokens, given=0))
    close(logits, arrays[f"{prefix}logits"][..., :-1], LOGITS)
    if averaged:
        close(logits.log_softmax(-1), arrays["log_p_next"][..., :-1], LOGITS)
    close(values, F.pad(arrays[f"{prefix}nll"], (1, 0)), LOSSES, relative=True)


@pytest.mark.parametrize(("name", "states"), [("hf/gidd", 60), ("local/gidd_v1.0.1", 60)])
def test_the_process_of_released_gidd_models_is_theirs(
    name: str, states: int, imported: Any, algorithm_of: Any, expected: Any
) -> None:
    arrays, algorithm = expected(FILES[name]), algorithm_of(imported(name))
    mix = algorithm.training_process.schedule(arrays["t"].double())
    close(mix.keep, arrays["alpha_t"], 1e-6)
    pi = torch.cat([(mix.noise / states).expand(-1, states), mix.mask], dim=-1)
    close(pi, arrays["beta_pi"], 1e-6)


def test_every_recorded_file_is_compared_or_refused(checkpoints: Any) -> None:
    recorded = {path.stem for path in (checkpoints / "expected").glob("*.npz")}
    assert recorded == {*FILES.values(), "ckpt_duo_ar", "hf_bd3lm", "hf_eso_lm"}


def test_uniform_states_are_the_checkpoints(imported: Any) -> None:
    """[PAD] is a state of the process: one more than the tokenizer's tokens."""
    model: ImportedModel = imported("hf/duo")
    assert (model.vocab_size, model.mask) == (61, None)
    assert list(model.extra_states(60)) == [60]
    assert model.algorithms == {"udlm", "duo", "duo_distill"}
