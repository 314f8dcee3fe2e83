"""Files beside the records."""

from pathlib import Path

import numpy as np
import torch

from evaluation.perplexity import summarise
from evaluation.record_files import write_sequences


def test_write_sequences_of_an_exact_likelihood_and_of_a_single_pass(tmp_path: Path) -> None:
    one = torch.tensor([2, 5]), torch.tensor([3.0, 4.0]).double(), torch.tensor([7, 8])
    two = one[0], one[1] + torch.tensor([2.0, -1.0]), one[2]
    exact = write_sequences([one], True, tmp_path)
    assert write_sequences([one], True, tmp_path) == exact  # the same content, the same file
    with np.load(tmp_path / exact) as arrays:
        assert arrays["variance"].tolist() == [0, 0]
        assert arrays["index"].tolist() == [2, 5]
    with np.load(tmp_path / write_sequences([one], False, tmp_path)) as arrays:
        assert np.isnan(arrays["variance"]).all()
    with np.load(tmp_path / write_sequences([one, two], False, tmp_path)) as arrays:
        assert arrays["nats"].tolist() == [4, 3.5]
        assert arrays["variance"].tolist() == [1, 0.25]  # of means of two that are 2 and 1 apart
        assert arrays["tokens"].tolist() == [7, 8]
    assert summarise([one, two]).nats_per_token == 7.5 / 15
    assert len(list(tmp_path.rglob("*.npz"))) == 3
