"""Two pictures for pages of others: SVG whose ink can be read on white and on near-black."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import altair as alt
import vl_convert

from evaluation.record_files import Curve
from leaderboard.aggregate import Entry
from leaderboard.charts.data import ERRORS, ends
from leaderboard.charts.files import VEGA_LITE, config
from leaderboard.charts.marks import Axis, Plot, drawn, log_base, looks
from leaderboard.table import Measure, Table

INK = "#7f858c"  # contrast above 3.5 with white, above 4.5 with near-black
NAME = "picture"  # of the dataset


def quality(table: Table) -> str:
    """The divergence from held-out text against network evaluations, of a table of samples."""
    rows = []
    for row in table.rows:
        value, calls = row.values.get("divergence"), row.values.get("network_evaluations")
        if not isinstance(value, Measure) or not isinstance(calls, int | float):
            continue
        about = {"series": row.records[0].algo, "evaluations": calls, "marked": True}
        rows.append(about | {"value": value.mean} | ends("value", value.mean, value.stderr))
    x = Axis("evaluations", "network evaluations a text", 2)
    y = Axis("value", "divergence from held-out text, nats", log_base(rows, "value"))
    title = f"Quality against network evaluations, {table.title}"
    return _svg(rows, x, y, title, f"bars: ± {ERRORS} standard errors")


def epochs(entries: Sequence[Entry], curves: Mapping[Path, Curve], track: Mapping[str, Any]) -> str:
    """The mean curve of every entry against passes over its text, marked where the track reads."""
    rows, last = [], track["epochs"][-1]
    for entry in entries:
        several = [curves[run.path] for run in entry.records]
        if len({tuple(curve.tokens) for curve in several}) != 1:
            continue
        total = entry.records[0].training["tokens"]
        for n, tokens in enumerate(several[0].tokens):
            epoch, nats = tokens / total * last, [curve.nats[n] for curve in several]
            rows.append(
                {
                    "series": entry.records[0].algo,
                    "epoch": epoch,
                    "value": fmean(nats),
                    "value_low": min(nats),
                    "value_high": max(nats),
                    "marked": any(math.isclose(epoch, read) for read in track["epochs"]),
                }
            )
    x = Axis("epoch", "passes over the training text", 2)
    y = Axis("value", "validation loss, nats per token")
    note = "means over seeds, bars from the lowest to the highest; a bound for diffusion"
    return _svg(
        rows, x, y, f"Loss on held-out text where training text repeats, {track['name']}", note
    )


def _svg(rows: list[dict[str, Any]], x: Axis, y: Axis, title: str, note: str) -> str:
    """A line for every series, with marks and bars at the points that are marked."""
    plot = Plot(alt.Chart(alt.NamedData(NAME)), x, y, looks(row["series"] for row in rows))
    marked = plot.where("datum.marked")
    spec = drawn([plot.path("series"), marked.bars("y", 1), marked.points(45)]).to_dict()
    spec.pop("config", None)
    spec |= {"datasets": {NAME: rows}, "title": {"text": title, "subtitle": note}}
    look = config(INK, "transparent")
    svg: str = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE, config=look)
    return svg
