import numpy as np
import pytest

from evaluation.sample_quality.train_overlap import TrainOverlap

GENERATOR = np.random.default_rng(0)
TRAINING = GENERATOR.integers(5, size=(30, 200)).tolist()
HELD_OUT = GENERATOR.integers(5, size=(30, 200)).tolist()


def covered(text: list[int], n: int) -> float:
    """The share of tokens in an n-gram of the training text, one by one."""
    known = {tuple(row[at : at + n]) for row in TRAINING for at in range(len(row) - n + 1)}
    marks = [False] * len(text)
    for at in range(len(text) - n + 1):
        if tuple(text[at : at + n]) in known:
            marks[at : at + n] = [True] * n
    return sum(marks) / len(text)


def test_train_overlap_it_counts_the_tokens_of_shared_ngrams():
    overlap = TrainOverlap(TRAINING, HELD_OUT)
    assert overlap.n == 16  # of the 8-grams of 5 symbols, a share like this is there by chance
    half = TRAINING[3][50:150] + HELD_OUT[0][:100]
    for text in (half, HELD_OUT[1], TRAINING[0], [1, 2]):
        assert overlap.shares([text])[0] == pytest.approx(covered(text, 16))
    assert overlap.shares([half])[0] >= 0.5
    assert overlap.shares(HELD_OUT).mean() <= 0.02


def test_train_overlap_texts_shorter_than_every_length_are_compared_whole():
    overlap = TrainOverlap([[1, 2, 3], [4, 5, 6]], [[1, 2, 4]])
    assert overlap.n == 3
    assert overlap.shares([[4, 5, 6], [4, 5, 7]]).tolist() == [1.0, 0.0]


def test_train_overlap_copies_show_in_a_text_that_repeats_itself_and_without_its_first_token() -> (
    None
):
    """Held-out text that shares long stretches leaves no n-gram that is rare in it, and what is
    drawn is a token shorter than a block: the n-grams still fit into it."""
    rng = np.random.default_rng(7)
    common = rng.integers(0, 9, 100).tolist()
    training = [[9, *common, *rng.integers(0, 9, 27).tolist()] for _ in range(20)]
    held_out = [[9, *common, *rng.integers(0, 9, 27).tolist()] for _ in range(20)]
    overlap = TrainOverlap(training, held_out)
    assert overlap.shares([row[1:] for row in training]).mean() == 1
    assert overlap.shares([rng.integers(0, 9, 127).tolist()]).mean() == 0
