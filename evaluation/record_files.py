"""Small files beside the records, named by their content: what a record says of them cannot change
under it."""

import hashlib
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.perplexity import Pass
from storage import write_atomic
from training.curve import CURVE, as_csv, read_curve

CURVES, SEQUENCES = "curves", "sequences"


def curve_file(run: Path | None, step: int, folder: Path) -> str | None:
    """The learning curve of the run directory `run` up to `step`, as a file in `folder`; None where
    there is none, as beside a checkpoint that lies alone."""
    points = [] if run is None else read_curve(run / CURVE)
    until = [one for one in points if one.step <= step]
    return attach(folder, CURVES, ".csv", as_csv(until).encode()) if until else None


def sequences_file(passes: Sequence[Pass], exact: bool, folder: Path) -> str:
    """What each of S sequences costs, for comparisons on the same text, as a file in `folder`.

    Arrays (S,): index int64; nats float64, the mean over passes; variance float64 of that mean, 0
    where it is exact and NaN for a single pass; tokens int64, those scored."""
    index, _, tokens = (part.detach().cpu().reshape(-1) for part in passes[0])
    nats = torch.stack([one[1].detach().cpu().double().reshape(-1) for one in passes])  # (P, S)
    variance = torch.full_like(nats[0], 0.0 if exact else torch.nan)
    if len(passes) > 1:
        variance = nats.var(0) / len(passes)
    columns = {"index": index, "nats": nats.mean(0), "variance": variance, "tokens": tokens}
    arrays = {name: column.numpy() for name, column in columns.items()}
    return attach(folder, SEQUENCES, ".npz", as_npz(arrays))


def as_npz(arrays: dict[str, NDArray]) -> bytes:
    """As np.savez, but without the time of writing: the same arrays are the same bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in arrays.items():
            one = io.BytesIO()
            np.save(one, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), one.getvalue())
    return content.getvalue()


def attach(folder: Path, kind: str, suffix: str, content: bytes) -> str:
    """Writes `content` below `folder` unless it is there; its path relative to `folder`."""
    name = f"{kind}/{hashlib.sha256(content).hexdigest()[:16]}{suffix}"
    file = folder / name
    if file.is_file() and file.read_bytes() == content:
        return name
    try:
        write_atomic(file, content)
    except OSError as error:
        raise OSError(f"results_dir={folder}: cannot write {name}: {error.strerror}") from error
    return name
