import os
import warnings
from pathlib import Path

import pytest
import torch

from evaluation.perplexity import in_order, sequence_rows, summarise
from evaluation.validation import Validation
from tests.modes.forked import run_together


class Module:
    device = torch.device("cpu")

    def __init__(self):
        self.logged = {}

    def log(self, name, value, sync_dist, reduce_fx):
        assert sync_dist and reduce_fx == "max"  # without the former Lightning warns
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


def logged_by_rank(folder: Path) -> None:
    """Writes down what one of two processes logs, of its own shard of two validations."""
    warnings.simplefilter("error")
    rank = int(os.environ["RANK"])
    if rank:  # which a launcher tells torchmetrics at its import
        warnings.filterwarnings("ignore", "The ``compute`` method of metric CatMetric was called")
    torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    module, validation, said = Module(), Validation(), []
    index, nats, scored = torch.load(folder / "batches.pt")
    shards = [[[0, 1, 2], [5]], [[3, 4]]], [[[0, 1], [2, 3], [4, 5]], []]  # the last rank has none
    for shard in shards:
        validation.on_validation_start(None, module)
        for part in shard[rank]:
            outputs = {"index": index[part], "nats": nats[part], "scored": scored[part]}
            validation.on_validation_batch_end(None, module, outputs, {}, 0)
        validation.on_validation_epoch_end(None, module)
        said.append(str({name: value.hex() for name, value in module.logged.items()}))
    torch.distributed.destroy_process_group()
    (folder / f"said-{rank}").write_text("\n".join(said))


def test_two_processes_with_uneven_shards_give_the_numbers_of_one(tmp_path, sequences):
    torch.save(sequences, tmp_path / "batches.pt")
    alone = str({name: value.hex() for name, value in validated(*sequences).items()})
    run_together(logged_by_rank, 2, tmp_path, seconds=120)
    for rank in range(2):
        assert (tmp_path / f"said-{rank}").read_text().splitlines() == [alone] * 2
