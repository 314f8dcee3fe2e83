"""The results that the repository ships: docs/results, from the records of the CPU tracks.

python scripts/snapshot.py              (takes the entries in results/TRACK, where there are any)
python scripts/snapshot.py --render     (from the records that are shipped already)

For every track the records of its entries with what lies beside them, in docs/results/TRACK, and
their tables in docs/results/TRACK.md; one page of all tables; two pictures; and the beginning of
the README between its marks. Nothing but the records decides what is written.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from hydra import initialize_config_dir

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import main  # noqa: E402
from evaluation.commit import DIRTY, difference_file  # noqa: E402
from evaluation.records import Record, read_records  # noqa: E402
from leaderboard.aggregate import Entry, Runs  # noqa: E402
from leaderboard.charts import pictures  # noqa: E402
from leaderboard.export.markdown import markdown  # noqa: E402
from leaderboard.html.page import write_tables  # noqa: E402
from leaderboard.table import Table  # noqa: E402
from leaderboard.tables import build  # noqa: E402
from leaderboard.tracks.entries import entries  # noqa: E402
from leaderboard.tracks.tables import curves_of, entries_of, of_track  # noqa: E402
from modes.leaderboard import usual  # noqa: E402
from modes.settings import stored  # noqa: E402
from storage import write_atomic  # noqa: E402

SHIPPED = ROOT / "docs" / "results"
TRACKS = ("shakespeare-1M", "shakespeare-epochs")  # the first one begins the README
MOST = 3_000_000  # bytes of all that is shipped
BEGIN, END = "<!-- results: made by scripts/snapshot.py -->", "<!-- results end -->"
# In the README.
COLUMNS = ("perplexity", "rank", "over AR", "bits/byte", "deviation", "tokens", "params")
BESIDE = ("curve", "sequences_file")
PICTURES = {
    "quality.svg": "divergence from held-out text against network evaluations a text",
    "epochs.svg": "validation loss against passes over the training text",
}
HEAD = """# Track {track}

Made by `python scripts/snapshot.py` from the records in [{track}]({track}), which
`python main.py mode=benchmark track={track}` left ({machine}). `python main.py mode=leaderboard
track={track} results_dir=docs/results/{track}` makes the tables again; [tracks](../tracks.md) has
the rules. Seconds are of one core, beside other work on the other one: compare tokens and
operations.

"""


class Results(NamedTuple):
    """The entries of a track, and the tables that they make."""

    track: str
    records: list[Record]
    tables: list[Table]
    entries: list[Entry]


def results_of(track: str, folder: Path) -> Results | None:
    """Of the records in `folder`; None where there is no entry."""
    if not folder.is_dir():
        return None
    records, problems = read_records(folder)
    defaults, reference = usual(records, main.compose), stored(main.compose([f"track={track}"]))
    runs = Runs(defaults)
    good, refused = entries(records, reference, runs)
    for line in [*problems, *refused]:
        print(f"set aside: {line}", file=sys.stderr)
    if not good:
        return None
    tables = build.compare(good, defaults, build.read_all(good)[0])
    made = of_track(tables, good, runs, reference["track"])
    return Results(track, good, made, entries_of(good, runs))


def ship(results: Results, folder: Path) -> None:
    """The records, without their spaces, and the files that they name, as all that `folder` has."""
    if folder.exists():
        shutil.rmtree(folder)
    for record in results.records:
        text = json.dumps(record.fields, sort_keys=True, separators=(",", ":"))
        write_atomic(folder / record.path.name, text + "\n")
        names = [record.metrics[key] for key in BESIDE if record.metrics.get(key)]
        if record.commit is not None and DIRTY in record.commit:
            names.append(difference_file(record.commit))
        for name in names:
            write_atomic(folder / name, (record.path.parent / name).read_bytes())


def render(shipped: Path, readme: Path) -> None:
    """Everything that is made of the records in `shipped`."""
    every = [results_of(track, shipped / track) for track in TRACKS]
    found = [results for results in every if results is not None]
    if not found:
        sys.exit(f"no entry of {' or '.join(TRACKS)} in results or {shipped}")
    for results in found:
        write_atomic(shipped / f"{results.track}.md", text_of(results))
    tables = [table for results in found for table in results.tables]
    records = [record for results in found for record in results.records]
    write_tables(shipped / "leaderboard.html", tables, records)
    drawn = dict(filter(None, map(picture_of, found)))
    for name, svg in drawn.items():
        write_atomic(shipped / name, svg)
    fill(readme, beginning(found, list(drawn)))
    size = sum(file.stat().st_size for file in shipped.rglob("*") if file.is_file())
    print(f"{shipped}: {len(records)} records, {size / 1e6:.2f} MB")
    if size > MOST:
        sys.exit(f"more than {MOST / 1e6:g} MB")


def text_of(results: Results) -> str:
    """The tables of a track as Markdown."""
    machines = sorted({str(record.hardware.get("cpu")) for record in results.records})
    head = HEAD.format(track=results.track, machine=", ".join(machines))
    return head + markdown(results.tables)


def picture_of(results: Results) -> tuple[str, str] | None:
    """The name and the SVG of the picture that belongs to a track."""
    track = stored(main.compose([f"track={results.track}"]))["track"]
    if track["epochs"] is not None:
        return "epochs.svg", pictures.epochs(results.entries, curves_of(results.records), track)
    samples = [table for table in results.tables if table.kind == "samples"]
    return ("quality.svg", pictures.quality(samples[0])) if samples else None


def beginning(found: Sequence[Results], drawn: Sequence[str]) -> str:
    """The first table with the columns that answer first, and the pictures."""
    table = found[0].tables[0]
    short = replace(table, columns=tuple(c for c in table.columns if c.name in COLUMNS))
    lines = [line for line in markdown([short]).splitlines() if line]
    rows = [line for line in lines if line.startswith("|")]
    pages = ", ".join(f"[{one.track}](docs/results/{one.track}.md)" for one in found)
    text = [f"**{short.title}** (all tables: {pages}; [how to enter](docs/tracks.md))", "", *rows]
    text += ["", short.note(), ""]
    text += [f"![{PICTURES[name]}](docs/results/{name})" for name in drawn]
    return "\n".join(text)


def fill(readme: Path, text: str) -> None:
    """Puts `text` between the marks of the README."""
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{readme}: the marks {BEGIN} and {END} are needed")
    write_atomic(readme, f"{before}{BEGIN}\n{text}\n{END}{after}")


def run(arguments: Sequence[str], results: Path, shipped: Path, readme: Path) -> None:
    """The command; ends with a line where there is nothing to ship, or too much."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        if "--render" not in arguments:
            for track in TRACKS:
                made = results_of(track, results / track)
                if made is not None:
                    ship(made, shipped / track)
        render(shipped, readme)


if __name__ == "__main__":
    run(sys.argv[1:], Path("results"), SHIPPED, ROOT / "README.md")
