"""Writes the checkpoints of `training.shards` while training goes on, through
torch.distributed.checkpoint."""

import json
import os
import shutil
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch import distributed as dist
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner, WriteItem
from torch.distributed.checkpoint.storage import StorageWriter, WriteResult

from storage import file_digest, save_tensors, sync, write_atomic
from training.shards import INDEX, encoded, remove_unused


class ShardWriter(StorageWriter):
    """Each process writes one file; the first one, when all have, names the folder and replaces
    the checkpoint `file`. `mark` (32 hexadecimal digits) is of this checkpoint alone."""

    def __init__(self, file: Path, mark: str, content: Any):
        self.file, self.content = file, content
        self.folder = file.parent / f"shards-{mark}"
        self.unfinished = file.parent / f".shards-{mark}"

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        pass

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        return True

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        self.unfinished.mkdir(parents=True, exist_ok=True)
        if is_coordinator:  # a start that was killed left its parts, whose room is needed
            remove_unused(self.file.parent, but=self.unfinished.name)

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        return [replace(plan, storage_data=rank) for rank, plan in enumerate(plans)]

    def write_data(
        self, plan: SavePlan, planner: SavePlanner
    ) -> torch.futures.Future[list[WriteResult]]:
        name = f"part-{plan.storage_data:05d}.safetensors"
        tensors, places = {}, {}
        for item in plan.items:
            data = cast(Tensor, planner.resolve_data(item)).detach().contiguous()
            tensors[item.index.fqn] = data
            places[item.index.fqn] = _place(item)
        save_tensors(self.unfinished / name, tensors, {"tensors": json.dumps(places)})
        sync(self.unfinished / name)
        mark = {"name": name, "sha256": file_digest(self.unfinished / name)}
        written: torch.futures.Future[list[WriteResult]] = torch.futures.Future()
        written.set_result([WriteResult(item.index, 0, mark) for item in plan.items])
        return written

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        marks = [result[0].storage_data for result in results if result]
        index = {
            "folder": self.folder.name,
            "files": {mark["name"]: mark["sha256"] for mark in marks},
            "content": self.content,
        }
        text = json.dumps(index)
        write_atomic(self.unfinished / INDEX, text)
        self.unfinished.rename(self.folder)
        write_atomic(self.file, text)
        remove_unused(self.file.parent)


def _place(item: WriteItem) -> tuple[list[int], int]:
    """The shape of the whole tensor, and the first row of the part."""
    data = item.tensor_data
    assert data is not None
    return list(data.size), data.chunk.offsets[0] if len(data.size) else 0


class Saving:
    """The checkpoint that is being written, one at a time."""

    def __init__(self) -> None:
        self.group: dist.ProcessGroup | None = None  # of its own: it speaks while training does
        self.writer: ShardWriter | None = None
        self.pending: Future[Any] | None = None

    def begin(self, checkpoint: dict[str, Any], file: Path, mark: str) -> None:
        """Returns when the tensors of `checkpoint` are copied to the memory of the host, once an
        earlier one is written."""
        self.wait()
        if self.group is None:
            self.group = dist.new_group(backend="gloo")
        tensors: dict[str, Tensor] = {}
        content = encoded(checkpoint, tensors)
        writer = ShardWriter(file, mark, content)
        saved = dcp.async_save(tensors, storage_writer=writer, process_group=self.group)
        self.writer, self.pending = writer, cast("Future[Any]", saved)

    def wait(self) -> None:
        """Until it is whole; OSError where it could not be written."""
        if self.pending is None or self.writer is None:
            return
        pending, self.pending = self.pending, None
        try:
            pending.result()
        except dcp.api.CheckpointException as error:
            shutil.rmtree(self.writer.unfinished, ignore_errors=True)
            file, first = self.writer.file, next(iter(error.failures.values()))[0]
            raise OSError(
                f"cannot write the checkpoint {file}: {first}; the older one is untouched"
            ) from error
