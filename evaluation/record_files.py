"""Files beside the records, named by their digest so that no one of them changes under a record:
the learning curve of a run, and the nats of every sequence of an evaluation. Written and read here.

Only what writes sequences imports torch, which a reader does not need."""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluation.files import read_named, why
from evaluation.records import Record
from storage import write_atomic
from training.curve import CURVE, as_csv, parsed, read_curve

if TYPE_CHECKING:
    from evaluation.perplexity import Pass

Floats = NDArray[np.float64]
LARGEST_CURVE, LARGEST_SEQUENCES = 2**26, 2**28  # bytes, unpacked
FARTHEST = 1e100  # from zero, of a value in a drawing; a NaN is beyond it
MOST_NATS = 1e12  # of a sequence
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, LookupError, RuntimeError, ValueError)
HEADER = (MemoryError, OverflowError, TokenError, TypeError)  # the errors of numpy beside these
DTYPES = (np.dtype(np.int64), np.dtype(np.float64))


class Curve(NamedTuple):
    """Validation loss in nats per token, with its standard error for new text (NaN for a single
    sequence), after so many steps, tokens and seconds of training."""

    step: list[float]
    tokens: list[float]
    seconds: list[float]
    nats: list[float]
    stderr: list[float]

    def thinned(self, most: int) -> "Curve":
        """At most about `most` points at equal distances, the last one always among them."""
        stride = -(-len(self.step) // max(most, 1))
        return Curve(*(column[::-1][::stride][::-1] for column in self))


@dataclass(frozen=True)
class Sequences:
    """(S,) each: the index of a sequence, its total nats as a mean over passes, the variance of
    that mean (0 where it is exact, NaN for a single pass), its scored tokens."""

    index: Floats
    nats: Floats
    variance: Floats
    tokens: Floats

    @property
    def digest(self) -> str:
        """Of the scored tokens: equal for records that can be paired."""
        return hashlib.sha256(self.index.tobytes() + self.tokens.tobytes()).hexdigest()


NAMES = [field.name for field in fields(Sequences)]


def write_curve(run: Path | None, step: int, folder: Path) -> str | None:
    """The learning curve of the run directory `run` up to `step`, as a file in `folder`; None where
    there is none, as beside a checkpoint that lies alone."""
    points = [] if run is None else read_curve(run / CURVE)
    until = [point for point in points if point.step <= step]
    return _attach(folder, "curves", ".csv", as_csv(until).encode()) if until else None


def read_attached_curve(file: Path) -> Curve:
    """The points of `file`, whose name is its digest, that can be drawn. ValueError where it is
    missing, was edited or is no curve."""
    try:
        points = parsed(read_named(file, LARGEST_CURVE).decode("utf-8", "replace"))
    except (OSError, ValueError) as error:
        raise ValueError(why(error, file)) from error
    drawn = [point for point in points if all(abs(value) <= FARTHEST for value in point[:-1])]
    return Curve(*([float(point[n]) for point in drawn] for n in range(len(Curve._fields))))


def write_sequences(passes: Sequence["Pass"], exact: bool, folder: Path) -> str:
    """The `Sequences` of the passes as a file in `folder`, index and tokens in int64."""
    import torch

    index, _, tokens = passes[0]
    nats = torch.stack([part for _, part, _ in passes])  # (P, S)
    variance = torch.full_like(nats[0], 0.0 if exact else torch.nan)
    if len(passes) > 1:
        variance = nats.var(0) / len(passes)
    columns = {"index": index, "nats": nats.mean(0), "variance": variance, "tokens": tokens}
    # As np.savez_compressed, but without the time of writing: equal arrays are equal bytes.
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, column in columns.items():
            entry = io.BytesIO()
            np.save(entry, column.numpy(), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy")
            archive.writestr(info, entry.getvalue(), zipfile.ZIP_DEFLATED)
    return _attach(folder, "sequences", ".npz", content.getvalue())


def read_sequences(record: Record) -> Sequences | None:
    """None where the record names no file. ValueError where it is missing, and where its contents
    are not those that its name, which is their digest, and the record promise."""
    name = record.fields["metrics"].get("sequences_file")
    if name is None:
        return None
    file = record.path.parent / name
    try:
        sequences = _arrays(read_named(file, LARGEST_SEQUENCES))
        _check(sequences, record.fields["count"])
    except (OSError, ValueError) as error:
        raise ValueError(why(error, file)) from error
    return sequences


def _arrays(content: bytes) -> Sequences:
    """Of a .npz file; a small one may unpack to much, but not to more than it says."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > LARGEST_SEQUENCES:
                raise ValueError(f"{size:,} bytes unpacked, at most {LARGEST_SEQUENCES:,}")
            columns = [_column(archive, name) for name in NAMES]
    except (*DAMAGED, *HEADER) as error:
        raise ValueError(f"not the arrays of a likelihood ({error})") from error
    if len({len(column) for column in columns}) != 1:
        raise ValueError(f"{', '.join(NAMES)} are not of one length")
    return Sequences(*columns)


def _column(archive: zipfile.ZipFile, name: str) -> Floats:
    content = io.BytesIO(archive.read(f"{name}.npy"))
    column = np.lib.format.read_array(content, allow_pickle=False)
    if column.dtype not in DTYPES or column.ndim != 1:
        raise ValueError(f"{name} is no column of numbers")
    return column.astype(np.float64)


def _check(sequences: Sequences, tokens: int) -> None:
    """ValueError for numbers that cannot be compared."""
    if not (np.abs(sequences.nats) <= MOST_NATS).all():
        raise ValueError("nats that are not finite")
    variance = sequences.variance
    if ((variance < 0) | (variance > MOST_NATS**2)).any():  # not known is a NaN
        raise ValueError("variances below 0 or not finite")
    if not ((sequences.tokens >= 0) & (sequences.tokens <= tokens)).all():
        raise ValueError("numbers of tokens below 0 or above the record's")
    if int(sequences.tokens.sum()) != tokens:
        raise ValueError(f"its tokens are not the {tokens} of the record")


def mean_over_runs(runs: Sequence[Sequences]) -> Sequences | None:
    """The mean of runs that scored the same tokens; None for none, and where they did not."""
    if not runs or len({run.digest for run in runs}) > 1:
        return None
    nats = np.mean([run.nats for run in runs], axis=0)
    variance = np.sum([run.variance for run in runs], axis=0) / len(runs) ** 2
    return Sequences(runs[0].index, nats, variance, runs[0].tokens)


def _attach(folder: Path, kind: str, suffix: str, content: bytes) -> str:
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
