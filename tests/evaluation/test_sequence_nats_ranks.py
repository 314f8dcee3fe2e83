import os
import warnings
from pathlib import Path

import torch

from evaluation.perplexity import SequenceNats, summarise
from tests.modes.forked import run_together


def totals(folder: Path) -> None:
    """Writes down what one of two processes computes, twice, of its own shard."""
    warnings.simplefilter("error")
    rank = int(os.environ["RANK"])
    if rank:  # which a launcher tells torchmetrics at its import
        warnings.filterwarnings("ignore", "The ``compute`` method of metric SequenceNats was call")
    torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    metric, said = SequenceNats(), []
    index, nats, scored = torch.load(folder / "batches.pt")
    shards = [[[0, 1, 2], [5]], [[3, 4]]], [[[0, 1], [2, 3], [4, 5]], []]  # the last rank has none
    for shard in shards:
        for part in shard[rank]:
            metric.update(index[part], nats[part], scored[part])
        index_all, nats_all, count = metric.compute()
        total = summarise([(index_all, nats_all, count)]).total_nats
        said.append(f"{index_all.tolist()} {total.hex()}")
        metric.reset()
    torch.distributed.destroy_process_group()
    (folder / f"said-{rank}").write_text("\n".join(said))


def test_two_processes_with_uneven_shards_give_the_totals_of_one(tmp_path):
    generator = torch.Generator().manual_seed(0)
    index = torch.tensor([4, 0, 5, 2, 1, 3])
    nats = torch.rand(6, 17, generator=generator)
    scored = torch.rand(6, 17, generator=generator) < 0.7
    torch.save((index, nats, scored), tmp_path / "batches.pt")
    metric = SequenceNats()
    metric.update(index, nats, scored)
    alone = summarise([metric.compute()]).total_nats.hex()
    run_together(totals, 2, tmp_path, seconds=120)
    for rank in range(2):
        said = (tmp_path / f"said-{rank}").read_text().splitlines()
        assert said == [f"[0, 1, 2, 3, 4, 5] {alone}"] * 2
