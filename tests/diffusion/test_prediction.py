import numpy as np
import pytest
import torch

from diffusion import rows as rows_room
from diffusion.head import Head
from diffusion.logits_warper import LogitsWarper
from diffusion.prediction import Prediction
from tests.diffusion import brute_force
from tests.diffusion.tensor_sizes import LargestTensor, head_rows

SIZE, WIDTH = 6, 4
temperatures = pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])


@pytest.fixture(autouse=True)
def seeded_in_uneven_chunks(monkeypatch):
    torch.manual_seed(8)
    monkeypatch.setattr("diffusion.rows.LEAST_ROWS", 1)
    monkeypatch.setitem(rows_room.CHUNK_BYTES, "cpu", 4 * SIZE * 7)


@pytest.fixture
def head():
    return Head(WIDTH, SIZE)


@temperatures
def test_mass_at_is_the_softmax_at_the_given_tokens(head, temperature):
    hidden, z = torch.randn(3, 5, WIDTH), torch.randint(SIZE, (3, 5))
    mass = Prediction(head, hidden, LogitsWarper(temperature)).mass_at(z)
    expected = (head(hidden).double() / temperature).softmax(-1).gather(-1, z[..., None])[..., 0]
    assert mass.shape == (3, 5) and mass.dtype == torch.float64 and not mass.requires_grad
    torch.testing.assert_close(mass, expected.detach(), rtol=1e-6, atol=0)


def test_mass_is_zero_where_it_is_not_asked_for(head):
    hidden, z = torch.randn(3, 5, WIDTH), torch.randint(SIZE + 1, (3, 5))
    prediction, where = Prediction(head, hidden), z != SIZE
    mass = prediction.mass_at(z, where=where)
    assert (mass[~where] == 0).all() and (mass[where] > 0).all()
    everywhere = prediction.mass_at(z.clamp_max(SIZE - 1))
    torch.testing.assert_close(mass[where], everywhere[where], rtol=1e-6, atol=0)


@temperatures
def test_draws_follow_the_softmax_of_their_own_position(head, temperature):
    hidden = 2 * torch.randn(4, WIDTH)
    prediction = Prediction(head, hidden.repeat(500, 1)[None], LogitsWarper(temperature))
    where = torch.ones(1, 2000, dtype=torch.bool)
    drawn = torch.stack([prediction.draw(where)[0] for _ in range(10)])
    assert drawn.dtype == torch.long
    laws = (head(hidden).double() / temperature).softmax(-1).detach().numpy()
    for position, law in enumerate(laws):
        counts = np.bincount(drawn[:, position::4].flatten(), minlength=SIZE)
        assert brute_force.agrees(counts, law / law.sum())


def test_only_the_positions_asked_for_go_through_the_head(head, monkeypatch):
    hidden = torch.randn(4, 50, WIDTH)
    where = torch.rand(4, 50) < 0.1
    prediction, seen = Prediction(head, hidden), head_rows(monkeypatch)
    drawn = prediction.draw(where)
    assert drawn.shape == (4, 50) and (drawn >= 0).all() and (drawn < SIZE).all()
    assert sum(seen) == where.sum()
    prediction.mass_at(torch.zeros(4, 50, dtype=torch.long), where=where)
    assert sum(seen) == 2 * where.sum()
    prediction.draw(torch.zeros(4, 50, dtype=torch.bool))
    assert sum(seen) == 2 * where.sum()


def test_no_tensor_of_all_logits_is_ever_made(monkeypatch):
    size, rows_at_once = 2000, 16
    monkeypatch.setattr("diffusion.rows.LEAST_ROWS", 1)
    monkeypatch.setitem(rows_room.CHUNK_BYTES, "cpu", 4 * size * rows_at_once)
    prediction = Prediction(Head(8, size), torch.randn(4, 128, 8))
    with LargestTensor() as largest:
        prediction.mass_at(torch.randint(size, (4, 128)))
        prediction.draw(torch.ones(4, 128, dtype=torch.bool))
    padded = size + 256  # a draw may round the vocabulary up to whole blocks
    assert 0 < largest.elements <= padded * rows_at_once
