"""One self-contained page of tables, charts, samples and records, and its charts as files."""

import base64
import functools
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import vl_convert

from evaluation.records import Record
from leaderboard.charts import data
from leaderboard.charts.data import Point
from leaderboard.charts.figures import Figure, frontier, learning_curves, perplexities, quality
from leaderboard.charts.files import FOLDER, VEGA_LITE, config, write_charts
from leaderboard.charts.marks import looks
from leaderboard.charts.published import beside_published
from leaderboard.html import sections
from leaderboard.html.elements import address, text
from leaderboard.html.links import Book
from leaderboard.published.results import Published
from leaderboard.table import Table
from storage import write_atomic

PARTS = Path(__file__).with_name("page.html")


def write_page(
    folder: Path,
    tables: Sequence[Table],
    records: Sequence[Record],
    published: Sequence[Published],
    problems: Sequence[str],
) -> tuple[Path, list[str]]:
    """folder/leaderboard.html, and every chart of it in folder/charts as PNG, SVG and PDF; with why
    some files beside records are not in it. `problems` are those that are known before."""
    book = Book(tables, records, folder)
    datasets, more = _datasets(book, tables, published)
    figures = _figures(datasets)
    files = {book.href(one): address(one.path, folder / FOLDER) for one in records}
    write_charts(folder / FOLDER, figures, datasets, files)
    texts, unread = sections.texts(book)
    aside = [*problems, *more, *unread]
    parts = sections.sections(book, tables, figures, published, texts, aside)
    file = folder / "leaderboard.html"
    write_atomic(file, page(book, parts, figures, datasets))
    return file, [*more, *unread]


def page(
    book: Book,
    parts: Sequence[sections.Section],
    figures: Sequence[Figure],
    datasets: Mapping[str, Sequence[Point]],
) -> str:
    """The page's HTML. Its policy allows exactly its own style and scripts, and no network."""
    style, script = (PARTS.with_suffix(kind).read_text("utf-8") for kind in (".css", ".js"))
    data = {
        "records": [book.brief(record) for record in book.records],
        "datasets": datasets,
        "figures": {figure.dataset: _data(figure) for figure in figures},
        "config": config("currentColor", "transparent"),
    }
    filled = {
        "style": style,
        "script": script,
        "library": library(),
        "style_hash": _hash(style),
        "script_hash": _hash(script),
        "library_hash": _hash(library()),
        "summary": text(sections.summary(book)),
        "contents": "".join(f'<li><a href="#{one.key}">{one.title}</a></li>' for one in parts),
        "algos": _options({record.fields["algo"] for record in book.records}),
        "corpora": _options({record.fields["data"]["name"] for record in book.records}),
        "sections": "\n".join(one.markup() for one in parts),
        "data": _in_script(data),
    }
    # In one pass: what a record says is never taken for a place to fill.
    return re.sub(r"@(\w+)@", lambda found: filled[found[1]], PARTS.read_text("utf-8"))


@functools.cache
def library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, of the version that altair writes for."""
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)
    return script.replace("</script", r"<\/script")


def _datasets(
    book: Book, tables: Sequence[Table], published: Sequence[Published]
) -> tuple[dict[str, list[Point]], list[str]]:
    """What the figures show, and why some of it cannot be shown."""
    naming = data.Naming(book.series, book.href)
    curves, problems = data.curves(book.records, naming)
    return {
        "curves": curves,
        "frontier": data.sampled(book.records, naming),
        "quality": data.quality(book.records, naming),
        "perplexity": beside_published(tables, published, book.href),
    }, problems


def _figures(datasets: Mapping[str, Sequence[Point]]) -> list[Figure]:
    """The figures that have something to show."""
    runs = [row for name in ("curves", "frontier", "quality") for row in datasets[name]]
    seen = looks(row["series"] for row in runs)
    made = [
        perplexities(datasets["perplexity"]),
        learning_curves(datasets["curves"], seen),
        frontier(datasets["frontier"], seen),
        quality(datasets["quality"], seen),
    ]
    return [figure for figure in made if figure.views]


def _data(figure: Figure) -> dict[str, Any]:
    views = [asdict(view) | {"file": f"{FOLDER}/{view.file}"} for view in figure.views]
    return {"dataset": figure.dataset, "views": views}


def _options(names: set[str]) -> str:
    return "".join(f"<option>{text(name)}</option>" for name in sorted(names))


def _in_script(content: Any) -> str:
    """JSON that no reader of HTML or of scripts can take for anything else."""
    words = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return re.sub(r"[<>&\u2028\u2029\ud800-\udfff]", lambda odd: f"\\u{ord(odd[0]):04x}", words)


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
