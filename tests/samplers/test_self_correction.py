from itertools import pairwise, product

import numpy as np
import pytest
import torch
from torch import nn

from diffusion import rows as rows_room
from diffusion.head import Head
from diffusion.prediction import Prediction
from diffusion.process import Process
from samplers.self_correction import self_correct
from tests.diffusion import brute_force
from tests.diffusion.cases import SCHEDULES
from tests.diffusion.tensor_sizes import LargestTensor, head_rows
from tests.samplers.exact_network import codes

SIZE, LENGTH = 3, 3
CERTAIN = 50.0  # a logit above zeros


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(17)


class Table:
    """denoise(z, t) whose outputs (B, L, V) are a function of z; keeps what it was asked."""

    def __init__(self, outputs, width=SIZE):
        self.outputs = outputs
        self.seen, self.times = [], []
        self.head = Head(width, width)
        nn.init.eye_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def __call__(self, z, t):
        self.seen.append(z.clone())
        self.times.append(t)
        return Prediction(self.head, self.outputs(z))


def process(size=SIZE):
    return Process(SCHEDULES["hybrid 0.1"], size)


def nothing(z):
    return torch.zeros_like(z, dtype=torch.bool)


def saying(*targets, logits=CERTAIN, size=SIZE):
    """Outputs that hold the text `targets` for certain, whatever stands there."""
    one_hot = nn.functional.one_hot(torch.tensor(targets), size).float() * logits
    return lambda z: one_hot.expand(len(z), *one_hot.shape)


def by_text(answers, size=2):
    """Outputs that hold answers[text], the surer the further left."""

    def outputs(z):
        likeliest = torch.tensor([answers[tuple(row)] for row in z.tolist()])
        sure = torch.arange(z.shape[1], 0, -1.0).add(CERTAIN)
        return nn.functional.one_hot(likeliest, size) * sure[:, None]

    return outputs


def one_step_law(law, z, tokens, fixed=()):
    """(N^L,) law of the text after one step from z, by all draws from law (L, N)."""
    size, length = law.shape[1], law.shape[0]
    reached = np.zeros((size,) * length)
    for drawn in product(range(size), repeat=length):
        score = [
            law[i, token] if token != z[i] and i not in fixed else 0.0
            for i, token in enumerate(drawn)
        ]
        text = list(z)
        for i in sorted(range(length), key=lambda i: -score[i])[:tokens]:
            if score[i] > 0:
                text[i] = drawn[i]
        reached[tuple(text)] += np.prod([law[i, token] for i, token in enumerate(drawn)])
    return reached.flatten()


@pytest.mark.parametrize("tokens", [1, 2, 3])
@pytest.mark.parametrize("fixed", [(), (1,)])
def test_one_step_follows_the_law_of_all_draws(tokens, fixed):
    outputs = torch.randn(LENGTH, SIZE)
    network, start = Table(lambda z: outputs.expand(len(z), -1, -1)), (0, 2, 1)
    z = torch.tensor(start).repeat(40_000, 1)
    held = nothing(z)
    held[:, list(fixed)] = True
    self_correct(network, process(), z, held, steps=1, temperature=0.7, tokens=tokens)
    assert len(network.seen) == 2
    law = (outputs.double() / 0.7).softmax(-1).numpy()
    expected = one_step_law(law, start, tokens, fixed)
    assert abs(expected.sum() - 1) < 1e-12
    counts = np.bincount(codes(network.seen[1], SIZE), minlength=len(expected))
    assert counts[expected == 0].sum() == 0
    assert brute_force.agrees(counts[expected > 0], expected[expected > 0])


@pytest.mark.parametrize("tokens", [1, 2, 7])
def test_planted_mistakes_are_repaired_and_fixed_positions_stay(tokens):
    text = torch.randint(SIZE, (6,))
    z = text.repeat(5, 1)
    z[:, [1, 2, 4]] = (z[:, [1, 2, 4]] + 1) % SIZE
    z[:, 0] = (z[:, 0] + 1) % SIZE  # wrong as well, but given
    fixed = nothing(z)
    fixed[:, 0] = True
    network, before = Table(saying(*text.tolist())), z.clone()
    made = self_correct(network, process(), z, fixed, steps=10, tokens=tokens)
    assert torch.equal(made.tokens[:, 1:], text[1:].expand(5, 5))
    assert torch.equal(made.tokens[:, 0], before[:, 0]) and torch.equal(z, before)
    assert all(torch.equal(seen[:, 0], before[:, 0]) for seen in network.seen)
    assert made.accuracy_before.tolist() == [0.4] * 5
    assert made.accuracy_after.tolist() == [1.0] * 5
    assert made.steps.tolist() == [-(-3 // tokens)] * 5
    assert all((t == 0.01).all() and t.dtype == torch.float64 for t in network.times)


def test_the_best_state_is_returned_not_the_last():
    answers = {
        (0, 0, 0, 0): (1, 1, 0, 0),
        (1, 0, 0, 0): (1, 1, 0, 0),  # three of four tokens are the likeliest: the best
        (1, 1, 0, 0): (0, 0, 1, 1),
        (0, 1, 0, 0): (0, 0, 1, 1),
    }
    network = Table(by_text(answers), width=2)
    z = torch.zeros(1, 4, dtype=torch.long)
    made = self_correct(network, process(2), z, nothing(z), steps=3)
    assert [seen[0].tolist() for seen in network.seen] == [list(text) for text in answers]
    assert made.tokens.tolist() == [[1, 0, 0, 0]]
    assert (made.accuracy_before.item(), made.accuracy_after.item()) == (0.5, 0.75)
    assert made.steps.item() == 3


def test_a_text_that_has_ended_reaches_the_network_no_more():
    z = torch.tensor([[1, 1, 1], [0, 0, 0], [0, 1, 1], [0, 0, 1]])
    network = Table(saying(1, 1, 1))
    made = self_correct(network, process(), z, nothing(z), steps=9)
    assert [len(seen) for seen in network.seen] == [4, 3, 2, 1]
    assert made.steps.tolist() == [0, 3, 1, 2]
    assert (made.tokens == 1).all() and (made.accuracy_after == 1).all()


@pytest.mark.parametrize("patience", [1, 4])
def test_patience_counts_the_steps_without_a_better_state(patience):
    network = Table(lambda z: nn.functional.one_hot(1 - z, SIZE) * CERTAIN)  # never content
    z = torch.zeros(2, 4, dtype=torch.long)
    made = self_correct(network, process(), z, nothing(z), steps=50, patience=patience)
    assert made.steps.tolist() == [patience + 1] * 2
    assert len(network.seen) == patience + 2
    assert torch.equal(made.tokens, z) and (made.accuracy_after == 0).all()


def test_the_steps_are_bounded_and_the_state_after_the_last_is_looked_at():
    network, z = Table(saying(1, 1, 1)), torch.zeros(2, 3, dtype=torch.long)
    made = self_correct(network, process(), z, nothing(z), steps=2)
    assert len(network.seen) == 3 and made.steps.tolist() == [2, 2]
    assert made.tokens.sum(-1).tolist() == [2, 2]
    torch.testing.assert_close(made.accuracy_after, torch.full((2,), 2 / 3).double())


def test_a_draw_that_changes_nothing_ends_only_a_text_of_likeliest_tokens():
    """At temperature 1 the present token is drawn again half of the time."""
    outputs = torch.tensor([0.0, 0.2, -CERTAIN])
    network, z = Table(lambda z: outputs.expand(*z.shape, 3)), torch.zeros(300, 1).long()
    made = self_correct(network, process(), z, nothing(z), 60, temperature=1.0, patience=60)
    assert (made.tokens == 1).all()
    assert 1.5 < made.steps.double().mean() < 2.5


def test_the_surest_change_comes_first_where_all_are_certain_to_a_float():
    outputs = torch.zeros(1, 4, SIZE)
    outputs[0, :, 1] = torch.tensor([40.0, 60.0, 45.0, 50.0])
    network, z = Table(lambda z: outputs), torch.zeros(1, 4, dtype=torch.long)
    self_correct(network, process(), z, nothing(z), steps=9)
    changed = [(late - early).argmax().item() for early, late in pairwise(network.seen)]
    assert changed == [1, 3, 2, 0]


def test_the_mask_is_never_an_answer_and_never_right():
    """Outputs with one for the mask, as D3PM's."""
    outputs = saying(3, 3, 3, size=4)
    network = Table(lambda z: outputs(z) + torch.tensor([0.0, 9.0, 0.0, 0.0]), width=4)
    z = torch.tensor([[3, 0, 1]])
    made = self_correct(network, process(), z, nothing(z), steps=5)
    assert made.tokens.tolist() == [[1, 1, 1]]
    assert made.accuracy_before.item() == pytest.approx(1 / 3)


def test_nothing_free_needs_no_network():
    network, z = Table(saying(1, 1, 1)), torch.zeros(2, 3, dtype=torch.long)
    made = self_correct(network, process(), z, ~nothing(z), steps=5)
    assert network.seen == [] and torch.equal(made.tokens, z)
    assert made.accuracy_before.tolist() == made.accuracy_after.tolist() == [1, 1]


def test_the_generator_alone_decides():
    outputs, made = torch.randn(SIZE + 1, 20, SIZE), []
    z = torch.randint(SIZE, (50, 20))
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        network = Table(lambda z: outputs[z, torch.arange(20)])
        options = {"steps": 12, "temperature": 1.5, "tokens": 3}
        made.append(self_correct(network, process(), z, nothing(z), **options))
    assert all(torch.equal(*pair) for pair in zip(made[0], made[1], strict=True))
    assert not torch.equal(made[0].tokens, made[2].tokens)


def test_a_step_is_one_pass_over_the_free_rows_and_makes_no_tensor_of_all_logits(monkeypatch):
    batch, length, size, width, rows_at_once, given = 4, 128, 2000, 8, 20, 28
    monkeypatch.setattr("diffusion.rows.LEAST_ROWS", 1)
    monkeypatch.setitem(rows_room.CHUNK_BYTES, "cpu", 4 * size * rows_at_once)
    head, embedding = Head(width, size), torch.randn(size + 1, width)
    rows = head_rows(monkeypatch)
    z = torch.randint(size, (batch, length))
    fixed = (torch.arange(length) < given).expand(batch, -1)
    with LargestTensor() as largest:
        self_correct(
            lambda z, t: Prediction(head, embedding[z]), process(size), z, fixed, 3, temperature=1.0
        )
    padded = size + 256  # a draw may round the vocabulary up to whole blocks
    assert 0 < largest.elements <= padded * rows_at_once
    assert sum(rows) == 4 * batch * (length - given)


@pytest.mark.parametrize(
    ("key", "value"),
    [("steps", -1), ("temperature", 0.0), ("tokens", 0), ("patience", 0)],
)
def test_senseless_settings_are_refused_by_name(key, value):
    z = torch.zeros(1, 3, dtype=torch.long)
    options = {"steps": 1, key: value}
    name = "self_correction" + ("" if key == "steps" else f"_{key}")
    with pytest.raises(ValueError, match=rf"sampling\.{name}={value}: must be"):
        self_correct(Table(saying(1, 1, 1)), process(), z, nothing(z), **options)
