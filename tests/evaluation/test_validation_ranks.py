import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from evaluation.perplexity import in_order, sequence_rows, summarise
from evaluation.validation import Validation
from tests.processes import started

RANK = """
import sys, warnings
from types import SimpleNamespace
import torch
from evaluation.validation import Validation

warnings.simplefilter("error")
rank, store, batches = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.distributed.init_process_group(
    "gloo", init_method=f"file://{store}", rank=rank, world_size=2
)
logged = {}
module = SimpleNamespace(device=torch.device("cpu"), log=logged.__setitem__)
validation = Validation()
index, nats, scored = torch.load(batches)
shards = [[[0, 1, 2], [5]], [[3, 4]]], [[[0, 1], [2, 3], [4, 5]], []]  # the last rank has none
for shard in shards:
    validation.on_validation_start(None, module)
    for part in shard[rank]:
        outputs = {"index": index[part], "nats": nats[part], "scored": scored[part]}
        validation.on_validation_batch_end(None, module, outputs, {}, 0)
    validation.on_validation_epoch_end(None, module)
    print({name: float(value).hex() for name, value in logged.items()})
torch.distributed.destroy_process_group()
"""


class Module:
    device = torch.device("cpu")

    def __init__(self):
        self.logged = {}

    def log(self, name, value):
        self.logged[name] = float(value)


def validated(index, nats, scored):
    """The logged numbers of one process, with all sequences in one batch."""
    validation, module = Validation(), Module()
    validation.on_validation_start(None, module)
    outputs = {"index": index, "nats": nats, "scored": scored}
    validation.on_validation_batch_end(None, module, outputs, {}, 0)
    validation.on_validation_epoch_end(None, module)
    return module.logged


@pytest.fixture
def sequences():
    generator = torch.Generator().manual_seed(0)
    nats = torch.rand(6, 17, generator=generator)
    scored = torch.rand(6, 17, generator=generator) < 0.7
    return torch.tensor([4, 0, 5, 2, 1, 3]), nats, scored


def test_validation_logs_the_numbers_of_a_pass(sequences):
    whole = summarise([in_order(sequence_rows(*sequences))])
    logged = validated(*sequences)
    assert logged["val/nll"] == pytest.approx(whole.nats_per_token, rel=1e-7)
    assert logged["val/nll_stderr"] == pytest.approx(whole.data_stderr, rel=1e-7)
    assert logged["val/ppl"] == pytest.approx(whole.perplexity, rel=1e-7)
    one = validated(*(part[:1] for part in sequences))
    assert one["val/nll"] > 0 and one["val/nll_stderr"] != one["val/nll_stderr"]


def test_two_processes_with_uneven_shards_give_the_numbers_of_one(tmp_path, sequences):
    torch.save(sequences, tmp_path / "batches.pt")
    alone = {name: value.hex() for name, value in validated(*sequences).items()}
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with ExitStack() as stack:
        ranks = [
            stack.enter_context(
                started(
                    [sys.executable, "-c", RANK, rank, tmp_path / "store", tmp_path / "batches.pt"],
                    env={**environment, "LOCAL_RANK": rank},
                    **pipes,
                )
            )
            for rank in "01"
        ]
        for rank in ranks:
            out, errors = rank.communicate(timeout=120)
            assert rank.returncode == 0, errors
            assert out.splitlines() == [str(alone)] * 2
