"""A sweep of sampling settings as a table and a picture: generative perplexity against entropy."""

import io
import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evaluation.rounding import with_error
from storage import new_file, write_atomic

if TYPE_CHECKING:
    import altair

Row = dict[str, Any]  # the swept settings, and the measured values below
Spread = tuple[float, float]

MEASURED = (
    "gen_ppl",
    "gen_ppl_stderr",
    "entropy",
    "entropy_stderr",
    "distinct_2",
    "network_evaluations",
    "seconds",
)
ERRORS = 2  # standard errors that a difference must exceed, and that a bar shows
Kind = Literal["png", "svg", "html"]
KINDS: tuple[Kind, ...] = ("png", "svg", "html")
LEGEND = (
    "* on the frontier: no other point has a lower generative perplexity at the same or a higher "
    f"entropy,\n  or a higher entropy at the same perplexity, by more than {ERRORS} standard errors"
    " of the difference.\n  ± is one standard error; one that is not known counts as none."
)
NO_JUDGE = (
    "No generative perplexity and no frontier: eval.gen_ppl_eval_model_name_or_path names no judge."
)


def swept(rows: Sequence[Row]) -> list[str]:
    """The settings that the rows say, in their order."""
    return [key for key in rows[0] if key not in MEASURED]


def on_frontier(rows: Sequence[Row]) -> list[bool]:
    """Whether no other row surely beats each: no worse in generative perplexity or entropy, and
    better in one of them by more than the errors; nowhere true without generative perplexities."""
    if not _judged(rows):
        return [False] * len(rows)
    return [not any(_beats(other, row) for other in rows) for row in rows]


def table(rows: Sequence[Row], reference: float | None = None) -> str:
    """The rows as aligned text, those on the frontier marked; `reference` is the entropy of
    held-out text."""
    marks = on_frontier(rows)
    columns = [["", *("*" if mark else "" for mark in marks)]]
    columns += [[key, *(_plain(row[key]) for row in rows)] for key in swept(rows)]
    measured = {name: [cell(row) for row in rows] for name, cell in COLUMNS.items()}
    columns += [[name, *cells] for name, cells in measured.items() if any(cells)]
    widths = [max(map(len, column)) for column in columns]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in zip(*columns, strict=True)
    ]
    lines.insert(1, "─" * (sum(widths) + 2 * len(widths) - 2))
    if reference is not None:
        lines.append(f"Entropy of held-out text in blocks of the same length: {reference:.3f} nats")
    return "\n".join([*lines, LEGEND if _judged(rows) else NO_JUDGE])


def picture(rows: Sequence[Row], file_stem: Path, reference: float | None = None) -> list[Path]:
    """One drawing as `file_stem`.png, .svg and .html, the last with its scripts inside, so that it
    needs no network; with a number behind the stem where the name is taken. Without a judge it
    shows distinct-2 in place of generative perplexity."""
    drawing = _chart(rows, reference)
    first, *others = [(kind, _as(drawing, kind)) for kind in KINDS]
    for number in itertools.count(1):
        stem = file_stem.name if number == 1 else f"{file_stem.name}-{number}"
        files = {kind: file_stem.with_name(f"{stem}.{kind}") for kind in KINDS}
        try:
            new_file(files[first[0]], first[1])  # which takes the name of the others too
        except FileExistsError:
            continue
        for kind, content in others:
            write_atomic(files[kind], content)
        return list(files.values())
    raise AssertionError("there is always another number")


def _as(drawing: "altair.LayerChart | altair.FacetChart", kind: Kind) -> bytes:
    if kind == "png":
        stream = io.BytesIO()
        drawing.save(stream, format=kind, scale_factor=2)
        return stream.getvalue()
    text = io.StringIO()
    drawing.save(text, format=kind, inline=kind == "html")
    return text.getvalue().encode()


def _judged(rows: Sequence[Row]) -> bool:
    return all(row.get("gen_ppl") is not None for row in rows)


def _beats(one: Row, other: Row) -> bool:
    lower = other["gen_ppl"] - one["gen_ppl"]
    higher = one["entropy"] - other["entropy"]
    if lower < 0 or higher < 0:
        return False
    return lower > _error(one, other, "gen_ppl") or higher > _error(one, other, "entropy")


def _error(one: Row, other: Row, name: str) -> float:
    return ERRORS * math.hypot(*(row[f"{name}_stderr"] or 0.0 for row in (one, other)))


def _plain(value: Any) -> str:
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


def _spread(row: Row, name: str) -> Spread:
    """The ends of an error bar; above zero for a value that is, as a log axis needs it."""
    value, error = row[name], ERRORS * (row.get(f"{name}_stderr") or 0.0)
    return max(value - error, value / 10), value + error


def _points(rows: Sequence[Row], height: str) -> list[Row]:
    """What the drawing shows: every row whose height is finite, with the ends of its bars."""
    made = []
    for row, mark in zip(rows, on_frontier(rows), strict=True):
        if not math.isfinite(math.nan if row.get(height) is None else row[height]):
            continue
        (low, high), (left, right) = _spread(row, height), _spread(row, "entropy")
        named = {key: _plain(row[key]) for key in swept(rows)}
        shown = {name: row[name] for name in MEASURED if row.get(name) is not None}
        ends = {"low": low, "high": high, "left": left, "right": right}
        made.append(named | shown | ends | {"frontier": mark})
    return made


def _chart(rows: Sequence[Row], reference: float | None) -> "altair.LayerChart | altair.FacetChart":
    import altair as alt

    judged, keys = _judged(rows), swept(rows)
    height = "gen_ppl" if judged else "distinct_2"
    name = "generative perplexity" if judged else "distinct-2"
    roomy = partial(alt.Scale, padding=18, nice=False, zero=False)
    scale = roomy(type="log") if judged else roomy()
    across = partial(alt.X, title="entropy, nats", scale=roomy())
    up = partial(alt.Y, title=name, scale=scale)
    x, y = across("entropy:Q"), up(f"{height}:Q")
    base = alt.Chart(alt.Data(values=_points(rows, height)))
    bars = [
        base.mark_rule(opacity=0.5).encode(x=x, y=up("low:Q"), y2="high:Q"),
        base.mark_rule(opacity=0.5).encode(x=across("left:Q"), x2="right:Q", y=y),
    ]
    edge = base.transform_filter(alt.datum.frontier).mark_line(color="#888888", strokeDash=[4, 3])
    numbers = [f"{one}:Q" for one in MEASURED if rows[0].get(one) is not None]
    dots = base.mark_point(filled=True, size=90, opacity=0.85).encode(
        x=x, y=y, tooltip=[*(f"{key}:N" for key in keys), *numbers], **_looks(rows, keys)
    )
    layers = [edge.encode(x=x, y=y, order="entropy:Q"), *bars, dots, *_reference(reference)]
    note = f"bars: ± {ERRORS} standard errors" + ("; dashed: the frontier" if judged else "")
    title = alt.TitleParams(f"{name} against entropy", subtitle=note, anchor="start")
    return alt.layer(*layers, title=title, width=520, height=380).interactive()


def _looks(rows: Sequence[Row], keys: list[str]) -> dict[str, Any]:
    """Colour, shape and size tell the first three settings apart, in the order of the sweep."""
    import altair as alt

    kinds = {"color": alt.Color, "shape": alt.Shape, "size": alt.Size}
    looks = {}
    for (channel, kind), key in zip(kinds.items(), keys, strict=False):
        values = list(dict.fromkeys(_plain(row[key]) for row in rows))
        given: dict[str, Any] = {}
        if channel == "color":
            given = {"scheme": "viridis" if len(values) > 2 else "category10"}
        if channel == "size":
            given = {"range": [60 + 90 * place for place in range(len(values))]}
        looks[channel] = kind(f"{key}:N", sort=values, scale=alt.Scale(domain=values, **given))
    return looks


def _reference(entropy: float | None) -> list["altair.Chart"]:
    """The entropy of held-out text as a labelled line."""
    import altair as alt

    if entropy is None:
        return []
    base = alt.Chart(alt.Data(values=[{"at": entropy, "name": "held-out text"}])).encode(x="at:Q")
    words = base.mark_text(align="left", dx=5, dy=-8, y="height", color="#555555").encode(
        text="name:N"
    )
    return [base.mark_rule(color="#555555", strokeDash=[1, 2]), words]
