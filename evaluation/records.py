"""One evaluation is one JSON file that is never changed; a digest shows when one was."""

import json
import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation import schema


@dataclass(frozen=True)
class Record:
    """The verified fields of one file, and where it lies."""

    fields: dict[str, Any]
    path: Path


def write_record(directory: Path | str, fields: dict[str, Any]) -> Path:
    """Write `fields` with schema, protocol_digest and digest to a new file in `directory`.

    ValueError names the field that is missing, of a wrong type or not finite; OSError when the
    file cannot be written. No existing file is ever touched.
    """
    record = {name: schema.plain(value, name) for name, value in {"also": {}, **fields}.items()}
    for name in schema.ADDED:
        if name in record:
            raise ValueError(f"{name} is added to a record, it cannot be given")
    schema.check(record)
    record["schema"] = schema.SCHEMA
    record["protocol_digest"] = schema.digest(record["protocol"])[:12]
    record["digest"] = schema.digest(record)
    path = Path(directory) / _file_name(record)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _publish(path, json.dumps(record, indent=2, sort_keys=True) + "\n")
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"results_dir={directory}: cannot write {path.name}: {reason}") from error
    return path


def read_records(*directories: Path | str) -> tuple[list[Record], list[str]]:
    """All records in `directories`, and one line for each file there that is not one.

    A file is read only with the schema of this version and the digest of its contents.
    ValueError for a directory that does not exist.
    """
    records, problems = [], []
    for directory in map(Path, directories):
        if not directory.is_dir():
            raise ValueError(
                f"results_dir={directory}: there is no such directory; run python main.py "
                "mode=benchmark first"
            )
        for path in sorted(directory.glob("*.json")):
            try:
                records.append(Record(_verified(path.read_text("utf-8")), path))
            except (OSError, ValueError, RecursionError) as error:
                problems.append(f"{path}: {' '.join(str(error).split())}")
    return records, problems


def hardware() -> dict[str, Any]:
    """What the numbers were measured on: processor, threads, GPU, versions."""
    import torch

    gpus = torch.cuda.device_count()
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if gpus else None,
        "gpus": gpus,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def commit(folder: Path = Path(__file__).parent) -> str | None:
    """The git commit of the code in `folder`, with "-dirty" where a tracked file differs.

    None without git or a repository, as in an unpacked archive.
    """
    # Excluding every tag leaves the commit itself; no lock, so a running git is not disturbed.
    question = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    command = ["git", "--no-optional-locks", "-C", str(folder), *question]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _file_name(record: dict[str, Any]) -> str:
    parts = [record["algo"], record["metric"], record["data"]["name"]]
    words = [re.sub(r"[^A-Za-z0-9._]+", "_", part)[:40].strip("._") or "x" for part in parts]
    time = f"{schema.moment(record):%Y%m%dT%H%M%SZ}"
    return "-".join([*words, time, record["digest"][:12]]) + ".json"


def _publish(path: Path, text: str) -> None:
    """Take the name, which fails where it is taken, then move the finished file onto it.

    A hard link would do both at once, but not on every file system.
    """
    path.open("x").close()
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
        if not path.stat().st_size:
            path.unlink()


def _verified(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise ValueError(f"half-written or not JSON ({error})") from error
    if not isinstance(fields, dict) or "schema" not in fields:
        raise ValueError("not a record: it has no schema")
    if fields["schema"] != schema.SCHEMA:
        raise ValueError(f"schema={fields['schema']!r}: {_age(fields['schema'])}")
    fields = {name: schema.plain(value, name) for name, value in fields.items()}
    stated = fields.pop("digest", None)
    if stated != schema.digest(fields):
        raise ValueError("edited: the digest does not belong to the contents")
    schema.check(fields)
    return {**fields, "digest": stated}


def _age(stated: Any) -> str:
    """What to do with a record of another schema."""
    reads = f"this version reads {schema.SCHEMA}"
    if not isinstance(stated, int) or isinstance(stated, bool):
        return reads
    if stated < schema.SCHEMA:
        return f"of an older version, {reads}; evaluate the run again"
    return f"of a newer version, {reads}; read it with that one"


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.is_file() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
