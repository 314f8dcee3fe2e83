"""What a likelihood record says of each sequence it scored, from the file it names."""

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from evaluation.records import Record

Floats = NDArray[np.float64]


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

    OSError where it is missing; ValueError where its contents are not those that its name, which
    is their digest, and the record promise."""
    name = record.fields["also"].get("sequences_file")
    if not isinstance(name, str):
        return None
    file = record.path.parent / name
    content = file.read_bytes()
    mark = hashlib.sha256(content).hexdigest()[:16]
    if file.stem != mark:
        raise ValueError(f"{file}: edited: its contents have the digest {mark}")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            columns = [np.asarray(arrays[key], dtype=np.float64) for key in NAMES]
    except (KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file}: not the arrays of a likelihood ({error})") from error
    if len({column.shape for column in columns}) != 1 or columns[0].ndim != 1:
        raise ValueError(f"{file}: {', '.join(NAMES)} are not of one length")
    found = Sequences(*columns)
    if int(found.tokens.sum()) != record.fields["count"]:
        raise ValueError(f"{file}: its tokens are not the {record.fields['count']} of the record")
    if not np.isfinite(found.nats).all():
        raise ValueError(f"{file}: nats that are not finite")
    return found


def mean_over_runs(runs: Sequence[Sequences]) -> Sequences | None:
    """Of runs that scored the same tokens; None for none, and where they did not."""
    if not runs or len({run.digest for run in runs}) > 1:
        return None
    nats = np.mean([run.nats for run in runs], axis=0)
    variance = np.sum([run.variance for run in runs], axis=0) / len(runs) ** 2
    return Sequences(runs[0].index, nats, variance, runs[0].tokens)
