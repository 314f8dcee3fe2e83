"""Rows, names and shapes: a mask in the middle, extra states, rows that stand for nothing."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hub.convert import convert
from hub.published import Published
from tests.hub.files import SIZES, weights

MASK, ROWS = 3, 9


def published(name: str, tensors: dict[str, Tensor], **changes: Any) -> Published:
    fields: dict[str, Any] = {
        "format": "test",
        "algo": {"name": name},
        "network": SIZES,
        "weights": tensors,
        "files": [Path("file")],
    }
    return Published(**{**fields, **changes})


@pytest.mark.parametrize(
    ("name", "outputs", "size"), [("mdlm", 8, 8), ("sedd", 8, 8), ("d3pm", 9, 8), ("ar", 8, 8)]
)
def test_convert_exchanges_a_mask_in_the_middle_with_the_last_row(
    name: str, outputs: int, size: int
) -> None:
    there = weights(ROWS, causal=name == "ar")
    here, averaged = convert(published(name, there, mask=MASK))
    order = [0, 1, 2, 8, 4, 5, 6, 7, 3]
    assert averaged is None and len(here["backbone.embedding.weight"]) == size + 1
    assert torch.equal(here["backbone.embedding.weight"], there["vocab_embed.embedding"][order])
    for kind in ("weight", "bias"):
        moved = there[f"output_layer.linear.{kind}"][order][:outputs]
        assert torch.equal(here[f"backbone.head.{kind}"], moved)


def test_convert_keeps_every_row_of_a_uniform_model_as_a_state() -> None:
    """The mask of BERT's vocabulary, too: its id is the last, as in this suite's tokenizers."""
    there = weights(ROWS)
    here, _ = convert(published("udlm", there, mask=MASK))
    order = [0, 1, 2, 8, 4, 5, 6, 7, 3]
    assert len(here["backbone.embedding.weight"]) == ROWS + 1
    assert torch.equal(
        here["backbone.embedding.weight"][:-1], there["vocab_embed.embedding"][order]
    )
    assert not here["backbone.embedding.weight"][-1].any()
    assert torch.equal(here["backbone.head.bias"], there["output_layer.linear.bias"][order])


def test_convert_leaves_out_rows_that_stand_for_nothing() -> None:
    there = weights(ROWS)
    here, _ = convert(published("gidd", there, mask=6, ids=7))
    assert len(here["backbone.embedding.weight"]) == 7
    assert torch.equal(here["backbone.embedding.weight"], there["vocab_embed.embedding"][:7])
    assert torch.equal(here["backbone.head.bias"], there["output_layer.linear.bias"][:6])


def test_convert_takes_half_precision_as_the_numbers_that_it_stands_for() -> None:
    there = {name: tensor.bfloat16() for name, tensor in weights(ROWS).items()}
    here, _ = convert(published("mdlm", there))
    assert {tensor.dtype for tensor in here.values()} == {torch.float32}
    assert torch.equal(
        here["backbone.norm.weight"].bfloat16(), there["output_layer.norm_final.weight"]
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rotary_emb.inv_freq": torch.ones(1)}, "not the 2 rates of n_heads=2"),
        ({"rotary_emb.inv_freq": torch.tensor([1.0, 0.5])}, "not the 2 rates of n_heads=2"),
        ({"rotary_emb.cos_cached": torch.ones(1, 6, 3, 1, 8)}, "not of n_heads=2, 4 wide each"),
        ({"logit_bias": torch.ones(1, 1, 1)}, "logit_bias: not zero"),
        ({"output_layer.linear.bias": torch.ones(9).long()}, "has the type torch.int64"),
        ({"blocks.7.norm1.weight": torch.ones(8)}, "n_blocks=2: there are weights of 3 blocks"),
        ({"vocab_embed.embedding": torch.ones(9)}, "vocab_embed.embedding: not there"),
    ],
)
def test_convert_refuses_what_the_network_cannot_express(
    changes: dict[str, Tensor], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        convert(published("mdlm", weights(ROWS) | changes))


def test_convert_takes_rotary_rates_that_bfloat16_has_rounded() -> None:
    rates = torch.tensor([1.0, 0.01]).bfloat16()
    convert(published("mdlm", weights(ROWS) | {"rotary_emb.inv_freq": rates}))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rows": 10}, "vocab_embed.embedding has 9 rows, the configuration 10"),
        ({"mask": 9}, "the mask 9 of 9 ids is not among the 9 rows"),
        ({"ids": 10}, "of 10 ids is not among the 9 rows"),
        ({"network": SIZES | {"n_blocks": 2**24}}, "n_blocks=16777216: there are weights of 2"),
        ({"network": SIZES | {"n_heads": 3}}, "model.n_heads=3"),
        (
            {"network": SIZES | {"cond_dim": 5}},
            r"blocks.0.adaLN_modulation.weight: has shape \(48, 4",
        ),
    ],
)
def test_convert_refuses_a_configuration_that_does_not_fit(
    changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        convert(published("mdlm", weights(ROWS), **changes))
