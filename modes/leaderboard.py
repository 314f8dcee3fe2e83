"""mode=leaderboard: the records of one or several results_dir as tables, on screen and in files."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from evaluation.records import Record, read_records
from evaluation.words import printable
from leaderboard.aggregate import Defaults, Runs
from leaderboard.export import terminal
from leaderboard.export.csv_files import csv_text
from leaderboard.export.latex import latex
from leaderboard.export.markdown import markdown
from leaderboard.published.results import published
from leaderboard.run_key import flat
from leaderboard.table import Table
from leaderboard.tables import build
from leaderboard.tables.published import ALONE, BESIDE
from leaderboard.tracks.entries import entries
from leaderboard.tracks.tables import of_track
from modes.settings import Compose, Settings, stored
from storage import write_atomic

FOLDER = "leaderboard"  # in the first results_dir, and the name of the files there
LINES = 3  # of a kind, on the screen
ALGOS = Path(__file__).resolve().parents[1] / "configs" / "algo"


def run(settings: Settings, overrides: list[str], compose: Compose) -> None:
    where, explain = folders(settings.results_dir), settings.leaderboard.explain
    records, problems = read_records(*where)
    defaults, track = usual(records, compose), settings.track.name
    if track is not None:
        reference = stored(compose([f"track={track}"]))
        records, refused = entries(records, reference, Runs(defaults))
        problems += refused
    say("set aside", problems)
    sequences, unpaired = build.read_all(records)
    doubts = [*build.conflict_lines(records, defaults), *unpaired]
    say("note", doubts)
    try:
        tables = build.compare(records, defaults, sequences, published())
        if track is not None:
            tables = of_track(tables, records, Runs(defaults), asdict(settings.track))
    except ValueError as error:
        raise ValueError(f"results_dir={','.join(map(str, where))}: {error}") from error
    console = terminal.wide_console()
    ours = [table for table in tables if table.kind not in (BESIDE, ALONE)]
    for table in ours:
        console.print(terminal.render(table, console.width, explain))
        console.print()
    for table in tables:
        if table.kind == BESIDE:
            print(f"{table.title}: {table.sentence}")
    try:
        files, more = write(where[0] / FOLDER, tables, records, [*problems, *doubts], explain)
    except OSError as error:
        reason = f"cannot write {error.filename}: {error.strerror}"
        raise OSError(f"results_dir={where[0]}: {reason}") from error
    say("note", more)
    left = build.without_table(records)
    if left:
        print(f"records without a table: {', '.join(left)}")
    print(f"leaderboard: {', '.join(map(printable, files))}")


def say(kind: str, lines: Sequence[str]) -> None:
    """At most three lines on stderr; the page lists all."""
    shown = lines if len(lines) <= LINES else lines[: LINES - 1]
    for line in shown:
        print(f"{kind}: {line}", file=sys.stderr)
    if len(lines) > len(shown):
        print(f"{kind}: {len(lines) - len(shown)} more; {FOLDER}.html lists them", file=sys.stderr)


def folders(setting: str | list[str]) -> list[Path]:
    """results_dir as a path, several with commas between them, or a list; ValueError for none."""
    parts = setting.split(",") if isinstance(setting, str) else setting
    names = [str(part).strip() for part in parts]
    if not names or not all(names):
        raise ValueError(
            f"results_dir={setting}: a folder, or several as results_dir=[one,two] is needed"
        )
    return [Path(name) for name in dict.fromkeys(names)]


def usual(records: Sequence[Record], compose: Compose) -> Defaults:
    """The settings of the algorithms among `records` in today's configuration, by dotted key."""
    configured = {file.stem for file in ALGOS.glob("*.yaml")}
    algos = sorted({record.algo for record in records} & configured)
    return {algo: flat(stored(compose([f"algo={algo}"]))) for algo in algos}


def write(
    folder: Path,
    tables: Sequence[Table],
    records: Sequence[Record],
    problems: Sequence[str],
    explain: bool,
) -> tuple[list[Path], list[str]]:
    """Every form of the tables as a file in `folder`, and the reasons why some files beside records
    are not in them; OSError where one cannot be written. The page alone has all published ones."""
    listed = [table for table in tables if table.kind != ALONE]
    contents = {
        "md": markdown(listed, explain),
        "csv": csv_text(listed),
        "tex": latex(listed, explain),
    }
    files = {ending: folder / f"{FOLDER}.{ending}" for ending in contents}
    for ending, file in files.items():
        write_atomic(file, contents[ending])
    from leaderboard.html.page import write_page  # it imports the drawing library

    page, more = write_page(folder, tables, records, published(), problems)
    return [*files.values(), page], more
