"""A sweep of sampling settings as a table and a picture: generative perplexity against entropy."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.files import write_stamped
from evaluation.rounding import with_error
from leaderboard.charts.data import ERRORS, ends
from leaderboard.export.terminal import print_table
from storage import write_atomic

if TYPE_CHECKING:
    import altair

Row = dict[str, Any]  # the swept settings, and the measured values below

MEASURED = (
    *("gen_ppl", "gen_ppl_stderr", "entropy", "entropy_stderr", "distinct_2"),
    *("network_evaluations", "seconds"),
)
LEGEND = (
    "* on the frontier: no other point has a lower generative perplexity at the same or a higher "
    f"entropy,\n  or a higher entropy at the same perplexity, by more than {ERRORS} standard errors"
    " of the difference.\n  ± is one standard error; one that is not known counts as none."
)
NO_SCORER = (
    "No generative perplexity and no frontier: eval.gen_ppl_eval_model_name_or_path names no "
    "scorer."
)


def row_of(settings: dict[str, Any], fields: dict[str, Any]) -> Row:
    """The swept settings of a point with the measured values of its record."""
    measured = fields["metrics"] | {"entropy": fields["value"], "entropy_stderr": fields["stderr"]}
    return settings | {name: measured.get(name) for name in MEASURED}


def swept(rows: Sequence[Row]) -> list[str]:
    """The swept settings, in their order."""
    return [key for key in rows[0] if key not in MEASURED]


def on_frontier(rows: Sequence[Row]) -> list[bool]:
    """Whether no other row surely beats each: no worse in generative perplexity or entropy, and
    better in one of them by more than the errors; nowhere true without generative perplexities."""
    if not _scored(rows):
        return [False] * len(rows)
    return [not any(_beats(other, row) for other in rows) for row in rows]


def _scored(rows: Sequence[Row]) -> bool:
    return all(row.get("gen_ppl") is not None for row in rows)


def _beats(row: Row, other: Row) -> bool:
    leads = {
        "gen_ppl": other["gen_ppl"] - row["gen_ppl"],
        "entropy": row["entropy"] - other["entropy"],
    }
    if min(leads.values()) < 0:
        return False
    return any(
        lead > ERRORS * math.hypot(*(point[f"{name}_stderr"] or 0.0 for point in (row, other)))
        for name, lead in leads.items()
    )


def _text(value: Any) -> str:
    return "none" if value is None else str(value)


def _measure(row: Row, name: str, digits: int) -> str:
    value = row.get(name)
    return "" if value is None else with_error(value, row.get(f"{name}_stderr"), digits)


COLUMNS: dict[str, Callable[[Row], str]] = {
    "gen. ppl": lambda row: _measure(row, "gen_ppl", 2),
    "entropy": lambda row: _measure(row, "entropy", 3),
    "distinct-2": lambda row: _measure(row, "distinct_2", 3),
    "calls": lambda row: f"{row['network_evaluations']:.4g}",
    "seconds": lambda row: f"{row['seconds']:.1f}",
}


def show(rows: Sequence[Row], reference: float | None = None) -> None:
    """Prints the rows as a table, the frontier marked; `reference` is the held-out entropy."""
    columns = {"": ["*" if mark else "" for mark in on_frontier(rows)]}
    columns |= {key: [_text(row[key]) for row in rows] for key in swept(rows)}
    measured = {name: [cell(row) for row in rows] for name, cell in COLUMNS.items()}
    columns |= {name: cells for name, cells in measured.items() if any(cells)}
    legend = LEGEND if _scored(rows) else NO_SCORER
    if reference is not None:
        held_out = "Entropy of held-out text in blocks of the same length"
        legend = f"{held_out}: {reference:.3f} nats\n{legend}"
    cells = list(zip(*columns.values(), strict=True))
    print_table(list(columns), cells, caption=legend, labels=1 + len(swept(rows)))


def picture(
    rows: Sequence[Row], folder: Path, name: str, reference: float | None = None
) -> list[Path]:
    """One chart as PNG, SVG and HTML, the last with its scripts inside, so that it needs no
    network. Without generative perplexities it shows distinct-2 in their place."""
    import vl_convert

    from leaderboard.charts.files import VEGA_LITE

    chart = _chart(rows, reference)
    svg = vl_convert.vegalite_to_svg(chart.to_dict(), vl_version=VEGA_LITE)
    file = write_stamped(folder, name, ".svg", svg)
    png, page = file.with_suffix(".png"), file.with_suffix(".html")
    write_atomic(png, vl_convert.svg_to_png(svg, scale=2))
    write_atomic(page, chart.to_html(inline=True))
    return [png, file, page]


def _points(rows: Sequence[Row], height: str) -> list[Row]:
    """Every row whose `height` is finite, with the ends of its error bars."""
    points = []
    for row, mark in zip(rows, on_frontier(rows), strict=True):
        if row.get(height) is None or not math.isfinite(row[height]):
            continue
        point = {name: row[name] for name in MEASURED if row.get(name) is not None}
        point |= {key: _text(row[key]) for key in swept(rows)} | {"frontier": mark}
        for name in (height, "entropy"):
            point |= ends(name, row[name], row.get(f"{name}_stderr"))
        points.append(point)
    return points


def _chart(rows: Sequence[Row], reference: float | None) -> "altair.LayerChart | altair.FacetChart":
    import altair as alt

    from leaderboard.charts.marks import Axis, drawn, position, reach

    scored, keys = _scored(rows), swept(rows)
    x, y = Axis("entropy", "entropy, nats"), Axis("distinct_2", "distinct-2")
    if scored:
        y = Axis("gen_ppl", "generative perplexity", 10)
    base = alt.Chart(alt.Data(values=_points(rows, y.field)))
    at = {"x": position(alt.X, x), "y": position(alt.Y, y)}
    edge = base.transform_filter(alt.datum.frontier).mark_line(color="#888888", strokeDash=[4, 3])
    numbers = [f"{name}:Q" for name in MEASURED if rows[0].get(name) is not None]
    dots = base.mark_point(filled=True, size=90, opacity=0.85).encode(
        **at, tooltip=[*(f"{key}:N" for key in keys), *numbers], **_channels(rows, keys)
    )
    layers = [edge.encode(**at, order="entropy:Q")]
    bars = [at | reach("x", x), at | reach("y", y)]
    layers += [base.mark_rule(opacity=0.5).encode(**channels) for channels in bars]
    layers += [dots, *_held_out(reference, rows)]
    note = f"bars: ± {ERRORS} standard errors" + ("; dashed: the frontier" if scored else "")
    title = alt.TitleParams(f"{y.title} against entropy", subtitle=note, anchor="start")
    return drawn(layers).properties(title=title).interactive()


def _channels(rows: Sequence[Row], keys: list[str]) -> dict[str, Any]:
    """Colour, shape and size for the first three settings, in the order of the sweep."""
    import altair as alt

    from leaderboard.charts.marks import COLORS, SHAPES

    kinds: list[tuple[Any, Sequence[Any]]] = [
        (alt.Color, COLORS),
        (alt.Shape, SHAPES),
        (alt.Size, range(60, 2000, 90)),
    ]
    channels = {}
    for (channel, looks), key in zip(kinds, keys, strict=False):
        values = list(dict.fromkeys(_text(row[key]) for row in rows))
        scale = alt.Scale(domain=values, range=list(looks)[: len(values)])
        channels[channel.__name__.lower()] = channel(f"{key}:N", sort=values, scale=scale)
    return channels


def _held_out(entropy: float | None, rows: Sequence[Row]) -> list["altair.Chart"]:
    """The entropy of held-out text as a line with a label on its inner side."""
    import altair as alt

    if entropy is None:
        return []
    base = alt.Chart(alt.Data(values=[{"at": entropy, "name": "held-out text"}])).encode(x="at:Q")
    right = entropy > max(row["entropy"] for row in rows)
    side: dict[str, Any] = {"align": "right", "dx": -5} if right else {"align": "left", "dx": 5}
    label = base.mark_text(dy=-8, y="height", color="#555555", **side)
    rule = base.mark_rule(color="#555555", strokeDash=[1, 2])
    return [rule, label.encode(text="name:N")]
