import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import torch

from evaluation.perplexity import SequenceNats, summarise
from tests.processes import started

RANK = """
import sys, warnings
import torch
from evaluation.perplexity import SequenceNats, summarise

warnings.simplefilter("error")
rank, store, batches = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.distributed.init_process_group(
    "gloo", init_method=f"file://{store}", rank=rank, world_size=2
)
metric = SequenceNats()
index, nats, scored = torch.load(batches)
shards = [[[0, 1, 2], [5]], [[3, 4]]], [[[0, 1], [2, 3], [4, 5]], []]  # the last rank has none
for shard in shards:
    for part in shard[rank]:
        metric.update(index[part], nats[part], scored[part])
    index_all, nats_all, count = metric.compute()
    print(index_all.tolist(), summarise([(index_all, nats_all, count)]).total_nats.hex())
    metric.reset()
torch.distributed.destroy_process_group()
"""


def test_two_processes_with_uneven_shards_give_the_totals_of_one(tmp_path):
    generator = torch.Generator().manual_seed(0)
    index = torch.tensor([4, 0, 5, 2, 1, 3])
    nats = torch.rand(6, 17, generator=generator)
    scored = torch.rand(6, 17, generator=generator) < 0.7
    torch.save((index, nats, scored), tmp_path / "batches.pt")
    metric = SequenceNats()
    metric.update(index, nats, scored)
    alone = summarise([metric.compute()]).total_nats.hex()

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
            assert out.splitlines() == [f"[0, 1, 2, 3, 4, 5] {alone}"] * 2
