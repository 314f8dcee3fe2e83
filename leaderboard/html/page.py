"""One self-contained page of tables, charts, samples and records, and its charts as files."""

import base64
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evaluation.records import Record
from evaluation.words import printable
from leaderboard.charts import data
from leaderboard.charts.figures import (
    Figure,
    frontier,
    learning_curves,
    perplexities,
    quality,
    target,
)
from leaderboard.charts.files import FOLDER, KINDS, VEGA_LITE, config, write_charts
from leaderboard.charts.ladders import beside_published, times
from leaderboard.charts.marks import looks
from leaderboard.html.samples import LETTERS, samples
from leaderboard.html.tables import record_grid, result_grid
from leaderboard.links import Links, address
from leaderboard.published.results import Published
from leaderboard.table import Table, shown
from leaderboard.tables.published import ALONE, BESIDE
from storage import write_atomic

HERE = Path(__file__).parent
FILTERED = 20  # rows of a table beyond which the page has filters
PAPERS = (BESIDE, ALONE)


def environment() -> Environment:
    """Templates whose expressions are escaped and say only what a page can show."""
    templates = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else printable(value),
    )
    templates.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return templates


def write_page(
    folder: Path,
    tables: Sequence[Table],
    records: Sequence[Record],
    papers: Sequence[Published],
    problems: Sequence[str],
) -> tuple[Path, list[str]]:
    """folder/leaderboard.html, and every chart of it in folder/charts as PNG, SVG and PDF; with the
    reasons why some files beside records are not in it. `problems` are those known before."""
    links, file = Links(tables, records, folder), folder / "leaderboard.html"
    figures, undrawn = _figures(links, tables, papers)
    files = {links.href(record): address(record.path, folder / FOLDER) for record in records}
    write_charts(folder / FOLDER, figures, files)
    texts, unread = samples(links)
    aside = [*problems, *undrawn, *unread]
    write_atomic(file, _render(links, tables, figures, texts=texts, problems=aside))
    return file, [*undrawn, *unread]


def write_tables(file: Path, tables: Sequence[Table], records: Sequence[Record]) -> None:
    """A page of the tables and records alone, without charts and samples, at `file`."""
    links = Links(tables, records, file.parent)
    write_atomic(file, _render(links, tables, [], texts={}, problems=[]))


def _render(links: Links, tables: Sequence[Table], figures: Sequence[Figure], **more: Any) -> str:
    """The page's HTML. Its policy allows exactly its own style and scripts, and no network."""
    ours = [table for table in tables if table.kind not in PAPERS]
    main = max(ours, key=lambda table: (table.kind == "perplexity", len(table.rows)))
    sampled = [text.record for group in more["texts"].values() for text in group]
    drawn = [figure for figure in figures if figure.views]
    inline = {
        "style": (HERE / "page.css").read_text("utf-8"),
        "script": (HERE / "page.js").read_text("utf-8"),
        "library": library() if drawn else "",
    }
    return (
        environment()
        .get_template("page.html")
        .render(
            **{name: Markup(content) for name, content in inline.items()},
            hashes={name: _hash(content) for name, content in inline.items()},
            answer=answer(main),
            main=main,
            figures=sorted(drawn, key=lambda figure: figure.dataset != "frontier"),
            results=[table for table in ours if table is not main],
            papers=[table for table in tables if table.kind in PAPERS],
            grid=lambda table: result_grid(table, links, sampled),
            all_records=record_grid(links),
            newest=max((record.time for record in links.records), default=None),
            filters=max(len(links.records), *(len(table.rows) for table in ours)) > FILTERED,
            algos=sorted({record.algo for record in links.records}),
            corpora=sorted({record.data["name"] for record in links.records}),
            data={
                "records": [links.brief(record) for record in links.records],
                "datasets": {figure.dataset: figure.rows for figure in figures},
                "figures": {figure.dataset: _data(figure) for figure in drawn},
                "config": config("currentColor", "transparent"),
            },
            charts=FOLDER,
            kinds=KINDS,
            letters=LETTERS,
            **more,
        )
    )


def answer(table: Table) -> str:
    """A sentence on who leads a table of perplexities among the algorithms of diffusion."""
    rows = table.ranked() if table.kind == "perplexity" else []
    if not rows:
        return ""
    columns = {column.name: column for column in table.columns}
    leaders = [row.name for row in rows if row.values["rank"] == 1]
    shared = f"{', '.join(leaders[:-1])} and {leaders[-1]} share the lead"
    verb = f"{leaders[0]} leads" if len(leaders) == 1 else shared
    of = f"among {len(rows)} diffusion runs" if len(rows) > 1 else "as the only diffusion run"
    text = f"{verb} {of} on {rows[0].records[0].data['name']}: perplexity "
    text += shown(rows[0], columns["perplexity"])
    over = shown(rows[0], columns["over AR"]) if "over AR" in columns else ""
    return f"{text}, {over.replace('≤ ', 'at most ')} that of AR." if over else f"{text}."


@functools.cache
def library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, of the version that altair writes for."""
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)
    return script.replace("</script", r"<\/script")


def _figures(
    links: Links, tables: Sequence[Table], papers: Sequence[Published]
) -> tuple[list[Figure], list[str]]:
    """The figures, and the reasons why some curves cannot be shown."""
    curves, problems = data.curves(links)
    sampled, measured = data.sampled(links), data.quality(links)
    seen = looks(row["series"] for row in (*curves, *sampled, *measured))
    return [
        perplexities(beside_published(tables, papers, links)),
        target(times(tables, links)),
        learning_curves(curves, seen),
        frontier(sampled, seen),
        quality(measured, seen),
    ], problems


def _data(figure: Figure) -> dict[str, Any]:
    views = [asdict(view) | {"file": f"{FOLDER}/{view.file}"} for view in figure.views]
    return {"dataset": figure.dataset, "views": views}


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
