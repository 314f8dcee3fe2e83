"""The state of the code that made a record: its commit, and what differs from that.

The text of the differences lies beside the records, named by its digest, which the commit of a
record ends with: `HASH-dirty-DIGEST` is the commit HASH with diffs/DIGEST.diff."""

import hashlib
import subprocess
from pathlib import Path

from storage import write_atomic

DIRTY = "-dirty"
FOLDER = "diffs"
CODE = ("*.py", "*.yaml")  # files that change a result, also where git does not know them yet
HERE = Path(__file__).resolve().parents[1]


def commit(folder: Path = HERE) -> str | None:
    """The git commit of the code in `folder`, with DIRTY and the digest of the difference where a
    tracked file differs, or code lies there that is not tracked. None without git or a repository,
    as in an unpacked archive."""
    return _state(folder)[0]


def commit_kept(results: Path, folder: Path = HERE) -> str | None:
    """The commit, as above; the difference is written below `results`."""
    stated, difference = _state(folder)
    if stated is None or not difference:
        return stated
    file = results / difference_file(stated)
    try:
        if not file.is_file():
            write_atomic(file, difference)
    except OSError as error:
        reason = f"cannot write {file.name}: {error.strerror}"
        raise OSError(f"results_dir={results}: {reason}") from error
    return stated


def _state(folder: Path) -> tuple[str | None, str]:
    """The commit and the difference from it, empty where there is none."""
    head = _git(folder, "rev-parse", "HEAD")
    difference = None if head is None else _difference(folder)
    if head is None or difference is None:
        return None, ""
    mark = f"{DIRTY}-{_mark(difference)}" if difference else ""
    return head.strip() + mark, difference


def base(stated: str | None) -> str | None:
    """The hash of the commit alone."""
    return stated and stated.partition(DIRTY)[0]


def difference_file(stated: str) -> str:
    """The path of the difference that a commit names, seen from its record."""
    return f"{FOLDER}/{stated.rpartition('-')[2]}.diff"


def is_kept(stated: str, results: Path) -> bool:
    """Whether the difference that a commit names lies below `results`, as it was written."""
    file = results / difference_file(stated)
    if not file.is_file():
        return False
    return _mark(file.read_text(encoding="utf-8", errors="replace")) == file.stem


def _difference(folder: Path) -> str | None:
    """The difference of the working tree from its commit as text, with the untracked code."""
    changed = _git(folder, "diff", "HEAD", "--binary", "--no-ext-diff", "--no-color")
    listed = _git(folder, "ls-files", "--others", "--exclude-standard", "-z", "--", *CODE)
    if changed is None or listed is None:
        return None
    prefix = (_git(folder, "rev-parse", "--show-prefix") or "").strip()
    names = sorted(filter(None, listed.split("\0")))
    return "".join([changed, *(_new_file(folder / name, f"{prefix}{name}") for name in names)])


def _new_file(file: Path, name: str) -> str:
    """The difference that makes an untracked file."""
    text = file.read_text(encoding="utf-8", errors="replace")
    lines = [f"diff --git a/{name} b/{name}", "new file mode 100644"]
    if text:
        parts = text.split("\n")
        ends = ["\\ No newline at end of file"] if parts[-1] else []
        whole = parts if parts[-1] else parts[:-1]
        lines += ["--- /dev/null", f"+++ b/{name}", f"@@ -0,0 +1,{len(whole)} @@"]
        lines += [*(f"+{line}" for line in whole), *ends]
    return "\n".join(lines) + "\n"


def _mark(difference: str) -> str:
    return hashlib.sha256(difference.encode("utf-8", "replace")).hexdigest()[:16]


def _git(folder: Path, *words: str) -> str | None:
    """The answer of git; None where there is none. No lock, so a running git is not disturbed."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *words]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.decode("utf-8", "replace")
