"""What a likelihood record says of each sequence it scored, from the file it names."""

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from evaluation.files import read_named, why
from evaluation.records import Record

Floats = NDArray[np.float64]
LARGEST = 2**30  # bytes
MOST_NATS = 1e12  # of a sequence
KINDS = (np.dtype(np.int64), np.dtype(np.float64))


@dataclass(frozen=True)
class Sequences:
    """(S,) each: the number of a sequence, its total nats as a mean over passes, the variance of
    that mean (NaN where it is not known), its scored tokens."""

    index: Floats
    nats: Floats
    variance: Floats
    tokens: Floats

    @property
    def digest(self) -> str:
        """Of what was scored: the same for records that can be paired."""
        return hashlib.sha256(self.index.tobytes() + self.tokens.tobytes()).hexdigest()


NAMES = [field.name for field in fields(Sequences)]


def read_sequences(record: Record) -> Sequences | None:
    """None where the record names no file.

    ValueError where it is missing, and where its contents are not those that its name, which is
    their digest, and the record promise."""
    name = record.fields["metrics"].get("sequences_file")
    if name is None:
        return None
    file = record.path.parent / name
    try:
        found = _arrays(read_named(file, LARGEST))
        _check(found, record.fields["count"])
    except (OSError, ValueError) as error:
        raise ValueError(why(error, file)) from error
    return found


def _arrays(content: bytes) -> Sequences:
    """Of a .npz file without compression, so that it cannot hold more than it is long."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            columns = [_column(archive, name) for name in NAMES]
    except (KeyError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        raise ValueError(f"not the arrays of a likelihood ({error})") from error
    if len({len(column) for column in columns}) != 1:
        raise ValueError(f"{', '.join(NAMES)} are not of one length")
    return Sequences(*columns)


def _column(archive: zipfile.ZipFile, name: str) -> Floats:
    entry = archive.getinfo(f"{name}.npy")
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    stream = io.BytesIO(archive.read(entry))
    try:
        np.lib.format.read_magic(stream)
        shape, _, kind = np.lib.format.read_array_header_1_0(stream)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} is no array ({error})") from error
    body = stream.read()
    if kind not in KINDS or len(body) % kind.itemsize or shape != (len(body) // kind.itemsize,):
        raise ValueError(f"{name} is no column of numbers")
    return np.frombuffer(body, kind).astype(np.float64)


def _check(found: Sequences, tokens: int) -> None:
    """ValueError where nothing can be reckoned with the numbers."""
    if not (np.abs(found.nats) <= MOST_NATS).all():
        raise ValueError("nats that are not finite")
    if ((found.variance < 0) | (found.variance > MOST_NATS**2)).any():  # not known is a NaN
        raise ValueError("variances below 0 or not finite")
    if not ((found.tokens >= 0) & (found.tokens <= tokens)).all():
        raise ValueError("numbers of tokens below 0 or above the record's")
    if int(found.tokens.sum()) != tokens:
        raise ValueError(f"its tokens are not the {tokens} of the record")


def mean_over_runs(runs: Sequence[Sequences]) -> Sequences | None:
    """Of runs that scored the same tokens; None for none, and where they did not."""
    if not runs or len({run.digest for run in runs}) > 1:
        return None
    nats = np.mean([run.nats for run in runs], axis=0)
    variance = np.sum([run.variance for run in runs], axis=0) / len(runs) ** 2
    return Sequences(runs[0].index, nats, variance, runs[0].tokens)
