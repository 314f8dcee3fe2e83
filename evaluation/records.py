"""One evaluation is one JSON file that is never changed; a digest shows when one was."""

import json
import os
import platform
import re
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation import record_schema
from evaluation.files import parse_json, read_whole, why
from evaluation.rules import is_name
from evaluation.words import brief
from storage import new_file

if TYPE_CHECKING:
    import torch

LARGEST = 16 * 2**20  # bytes of a record


@dataclass(frozen=True)
class Record:
    """The verified contents of the file at `path`; `evaluation/fields.py` says what each may be."""

    metric: str
    value: float
    stderr: float | None
    count: int
    kind: str
    algo: str
    protocol: dict[str, Any]
    network: dict[str, Any]
    data: dict[str, Any]
    training: dict[str, Any]
    sampler: dict[str, Any] | None
    seed: int
    commit: str | None
    hardware: dict[str, Any]
    wall_time_s: float
    peak_memory_bytes: int
    config: dict[str, Any]
    created: str
    metrics: dict[str, Any]
    schema: int
    protocol_digest: str
    digest: str
    path: Path

    @property
    def fields(self) -> dict[str, Any]:
        """The contents by name, as the file has them."""
        return {name: value for name, value in vars(self).items() if name != "path"}

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(self.created)

    @property
    def checkpoint(self) -> str | None:
        """The digest of the checkpoint that was evaluated."""
        digest: str | None = self.training["checkpoint_digest"]
        return digest

    @property
    def length(self) -> int | None:
        """The sequence length in tokens."""
        return self.protocol.get("length")

    @property
    def steps(self) -> int | None:
        """The sampling steps."""
        return (self.sampler or {}).get("steps")


def write_record(directory: Path | str, fields: dict[str, Any]) -> Path:
    """Write `fields` with schema, protocol_digest and digest to a new file in `directory`.
    ValueError names the field for which reading would set the record aside; OSError when the file
    cannot be written. No existing file is ever touched."""
    record = _completed(fields)
    content = json.dumps(record, indent=2, sort_keys=True) + "\n"
    if len(content) > LARGEST:
        raise ValueError(f"a record of {len(content):,} bytes: at most {LARGEST:,} are read")
    path = Path(directory) / _file_name(record)
    try:
        new_file(path, content)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"results_dir={directory}: cannot write {path.name}: {reason}") from error
    return path


def record_path(directory: Path | str, fields: dict[str, Any]) -> Path:
    """The file that `write_record` would write; ValueError as there."""
    return Path(directory) / _file_name(_completed(fields))


def _completed(fields: dict[str, Any]) -> dict[str, Any]:
    record = {
        name: record_schema.plain(value, name) for name, value in {"metrics": {}, **fields}.items()
    }
    for name in record_schema.ADDED:
        if name in record:
            raise ValueError(f"{name} is added to a record, it cannot be given")
    record_schema.check(record)
    record["schema"] = record_schema.SCHEMA
    record["protocol_digest"] = record_schema.digest(record["protocol"])[:12]
    record["digest"] = record_schema.digest(record)
    return record


def read_records(*directories: Path | str) -> tuple[list[Record], list[str]]:
    """All records in `directories`, and one line for each file there that is not one. A file is
    read only with the schema of this version and the digest of its contents, and where every field
    of it can be shown. ValueError for a directory that does not exist."""
    records, problems = [], []
    for directory in map(Path, directories):
        for path in _json_files(directory):
            try:
                records.append(Record(**_read(path), path=path))
            except (OSError, ValueError) as error:
                problems.append(why(error, path))
    return records, problems


def _json_files(directory: Path) -> list[Path]:
    """The .json files of a directory by name; OSError where they cannot be listed."""
    if not directory.is_dir():
        raise ValueError(
            f"results_dir={directory}: there is no such directory; run python main.py "
            "mode=benchmark first"
        )
    try:
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith(".json"))
    except OSError as error:
        raise OSError(f"results_dir={directory}: {error.strerror}") from error
    return [directory / name for name in names]


def _read(path: Path) -> dict[str, Any]:
    """The verified fields of a file."""
    if not is_name(path.name):
        raise ValueError("its name has characters that cannot be shown")
    return _verified(read_whole(path, LARGEST))


def hardware(device: "torch.device") -> dict[str, Any]:
    """Processor, threads, the GPUs that took part where `device` is one, and versions."""
    import torch

    from training.agreement import world_size

    gpu = None
    if device.type != "cpu":
        gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "gpus": world_size() if gpu else 0,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": version("lightning"),
    }


def _file_name(record: dict[str, Any]) -> str:
    parts = [record["algo"], record["metric"], record["data"]["name"]]
    words = [re.sub(r"[^A-Za-z0-9._]+", "_", part)[:40].strip("._") or "x" for part in parts]
    time = f"{record_schema.moment(record):%Y%m%dT%H%M%SZ}"
    return "-".join([*words, time, record["digest"][:12]]) + ".json"


def _verified(content: bytes) -> dict[str, Any]:
    fields = parse_json(content)
    if not isinstance(fields, dict) or "schema" not in fields:
        raise ValueError("not a record: it has no schema")
    if fields["schema"] != record_schema.SCHEMA:
        raise ValueError(f"schema={brief(fields['schema'])}: {_age(fields['schema'])}")
    record_schema.faithful(fields, "")
    stated = fields.pop("digest", None)
    if stated != record_schema.digest(fields):
        raise ValueError("edited: the digest does not belong to the contents")
    record_schema.check(fields)
    if fields.get("protocol_digest") != record_schema.digest(fields["protocol"])[:12]:
        raise ValueError("edited: the protocol_digest does not belong to the protocol")
    return {**fields, "digest": stated}


def _age(stated: Any) -> str:
    """The reason why a record of another schema is not read, and the remedy."""
    reads = f"this version reads {record_schema.SCHEMA}"
    if not isinstance(stated, int) or isinstance(stated, bool):
        return reads
    if stated < record_schema.SCHEMA:
        return f"of an older version, {reads}; evaluate the run again"
    return f"of a newer version, {reads}; read it with that one"


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.is_file() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
