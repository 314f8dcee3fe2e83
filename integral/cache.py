"""Tables of the operator for one vocabulary: shipped, cached on disk, or computed; plain arrays
with a checksum, never pickles."""

import hashlib
import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from integral.quadrature import FROM, HIGH, LOW, NODES, RULE, TO, integrals, log_slope
from storage import write_atomic

Array = NDArray[np.float64]

PER_UNIT = 64  # intervals per unit of gamma; more would add rounding, not accuracy
POINTS = int((HIGH - LOW) * PER_UNIT) + 1
SHIPPED = (50257, 30521, 30522)  # GPT-2, BERT without its mask, and BERT with it as DUO counts
SHIPPED_FOLDER = Path(__file__).parent / "tables"
CACHE_FOLDER = "~/.cache/discrete-diffusion/integral"
_DIGEST_BYTES = hashlib.sha256().digest_size


def compute(vocab_size: int) -> Array:
    """(3, POINTS): f = log(keep / (1 - keep)) and its first two derivatives to gamma, on the grid.
    f' = keep' / (keep (1 - keep)) and f'' = f' ((log -keep')' + f' (keep - (1 - keep)))."""
    gamma = torch.linspace(LOW, HIGH, POINTS, dtype=torch.float64)
    log_keep, log_lost, slope = integrals(gamma, vocab_size)
    _, steeper, *_ = torch.func.jvp(
        lambda at: log_slope(at, vocab_size), (gamma,), (torch.ones_like(gamma),)
    )
    first = -torch.exp(slope - log_keep - log_lost)
    second = first * (steeper + first * (log_keep.exp() - log_lost.exp()))
    return torch.stack([log_keep - log_lost, first, second]).numpy()


def table(vocab_size: int, cache_dir: str | Path | None = None) -> tuple[Array, str]:
    """The table of `compute` and where it came from. A file that is missing, damaged or out of
    reach is computed anew and kept in `cache_dir`, by default the user's cache folder; where that
    cannot be written, the table is used anyway."""
    name = file_name(vocab_size)
    shipped = SHIPPED_FOLDER / name
    if (stored := _read(shipped)) is not None:
        return stored, f"shipped with the suite ({shipped.name})"
    try:
        path = Path(CACHE_FOLDER if cache_dir is None else cache_dir).expanduser() / name
    except RuntimeError as error:  # a user without a home
        return compute(vocab_size), f"computed, not kept: {error}"
    if (stored := _read(path)) is not None:
        return stored, f"cached in {path}"
    array = compute(vocab_size)
    try:
        write(path, array)
    except OSError as error:
        return array, f"computed, not kept: {error}"
    return array, f"computed, kept in {path}"


def file_name(vocab_size: int) -> str:
    """Names everything that the numbers of a table depend on."""
    key = repr((vocab_size, LOW, HIGH, PER_UNIT, NODES, FROM, TO, RULE))
    return f"{vocab_size}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.npy"


def write(path: Path, array: Array) -> None:
    """A .npy file that ends in the SHA-256 of what is before it (which np.load does not look at),
    whole or not at all; OSError where the folder cannot be written."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    body = stream.getvalue()
    write_atomic(path, body + hashlib.sha256(body).digest())


def _read(path: Path) -> Array | None:
    """The table in a file, None where there is none or it is not what was written."""
    try:
        content = path.read_bytes() if path.is_file() else b""
    except OSError:
        return None
    body, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if not body or hashlib.sha256(body).digest() != digest:
        return None
    try:
        array: Array = np.load(io.BytesIO(body), allow_pickle=False)
    except (ValueError, EOFError):
        return None
    return array if array.shape == (3, POINTS) and array.dtype == np.float64 else None
