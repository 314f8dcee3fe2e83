"""Cost of a sampling step: how large its tensors are, and how many rows go through the head."""

import pytest
import torch

from diffusion import rows as rows_room
from diffusion.head import Head
from diffusion.prediction import Prediction
from diffusion.process import Process
from samplers.ancestral import ancestral
from samplers.grids import uniform_grid
from tests.diffusion.cases import SCHEDULES
from tests.diffusion.tensor_sizes import LargestTensor, head_rows

BATCH, LENGTH, SIZE, WIDTH = 4, 128, 2000, 8


@pytest.fixture
def head():
    torch.manual_seed(12)
    return Head(WIDTH, SIZE)


def sampled(head, name, steps):
    process = Process(SCHEDULES[name], SIZE)
    z = process.prior((BATCH, LENGTH))
    embedding = torch.randn(SIZE + 1, WIDTH)
    return ancestral(
        lambda z, t, rows: Prediction(head, embedding[z]), process, z, uniform_grid(steps)
    )


@pytest.mark.parametrize("name", ["absorbing log-linear", "uniform log-linear", "hybrid 0.1"])
@pytest.mark.parametrize("steps", [1, 4])
def test_no_step_makes_a_tensor_of_all_logits(head, name, steps, monkeypatch):
    rows_at_once = 16
    monkeypatch.setattr("diffusion.rows.LEAST_ROWS", 1)
    monkeypatch.setitem(rows_room.CHUNK_BYTES, "cpu", 4 * SIZE * rows_at_once)
    with LargestTensor() as largest:
        tokens = sampled(head, name, steps)
    assert tokens.shape == (BATCH, LENGTH) and (tokens < SIZE).all()
    padded = SIZE + 256  # a draw may round the vocabulary up to whole blocks
    assert 0 < largest.elements <= padded * rows_at_once


@pytest.mark.parametrize("steps", [1, 16])
def test_unmasking_applies_the_head_once_per_position_in_all(head, steps, monkeypatch):
    rows = head_rows(monkeypatch)
    sampled(head, "absorbing log-linear", steps)
    assert sum(rows) == BATCH * LENGTH
