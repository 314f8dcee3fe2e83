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
from leaderboard.charts.data import ERRORS
from leaderboard.charts.files import VEGA_LITE, config
from leaderboard.charts.marks import (
    Axis,
    Looks,
    bars,
    drawn,
    legend,
    log_base,
    looks,
    path,
    position,
)
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
        reach = ERRORS * (value.stderr or 0.0)
        rows.append(
            {
                "series": row.records[0].algo,
                "evaluations": calls,
                "value": value.mean,
                "value_low": max(value.mean - reach, value.mean / 10),
                "value_high": value.mean + reach,
                "marked": True,
            }
        )
    x = Axis("evaluations", "network evaluations a text", 2)
    y = Axis("value", "divergence from held-out text, nats", log_base(rows, "value"))
    title = f"Quality against network evaluations, {table.title}"
    return _svg(rows, x, y, title, f"bars: ± {ERRORS} standard errors")


def epochs(entries: Sequence[Entry], curves: Mapping[Path, Curve], track: Mapping[str, Any]) -> str:
    """The mean learning curve of every entry against passes over the training text, with marks
    where the track reads it."""
    rows, last = [], track["epochs"][-1]
    for entry in entries:
        several = [curves[run.path] for run in entry.records]
        if len({tuple(curve.tokens) for curve in several}) != 1:
            continue
        total = entry.records[0].training["tokens"]
        for n, tokens in enumerate(several[0].tokens):
            value = fmean(curve.nats[n] for curve in several)
            epoch = tokens / total * last
            low, high = (pick(curve.nats[n] for curve in several) for pick in (min, max))
            rows.append(
                {
                    "series": entry.records[0].algo,
                    "epoch": epoch,
                    "value": value,
                    "value_low": low,
                    "value_high": high,
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
    seen = looks(row["series"] for row in rows)
    chart = alt.Chart(alt.NamedData(NAME))
    marked = chart.transform_filter("datum.marked")
    layers = [path(chart, x, y, "series", seen), bars(marked, x, y, "y", seen, 1)]
    spec = drawn([*layers, _points(marked, x, y, seen)]).to_dict()
    spec.pop("config", None)
    spec |= {"datasets": {NAME: rows}, "title": {"text": title, "subtitle": note}}
    svg: str = vl_convert.vegalite_to_svg(
        spec, vl_version=VEGA_LITE, config=config(INK, "transparent")
    )
    return svg


def _points(chart: alt.Chart, x: Axis, y: Axis, seen: Looks) -> alt.Chart:
    return chart.mark_point(filled=True, size=45, fillOpacity=0.9).encode(
        x=position(alt.X, x),
        y=position(alt.Y, y),
        color=legend(alt.Color, seen, "color"),
        shape=legend(alt.Shape, seen, "shape"),
    )
