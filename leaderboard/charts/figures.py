"""The charts, described once: the page draws them, and the same descriptions become files.

A description names its dataset and holds no colours of paper or ink: those come from a
configuration beside it."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from leaderboard.charts.data import ERRORS, Point
from leaderboard.charts.marks import (
    COLORS,
    WIDTH,
    Axis,
    Fields,
    Look,
    Looks,
    Plot,
    base,
    drawn,
    legend,
    log_base,
    position,
    reach,
    tips,
)

RUN = [("series", "algorithm"), ("corpus", "corpus"), ("network", "network"), ("seed", "seed")]
COST = [("steps", "steps"), ("evaluations", "evaluations a text"), ("seconds", "seconds a text")]
CURVE = ("step", "tokens", "seconds", "nats", "marked")
LINE = 24  # pixels
LONGEST = 64  # letters of a file's name
BARS = f"bars: ± {ERRORS} standard errors"
WHOSE = {"ours": Look(COLORS[0], "circle", [1, 0]), "published": Look(COLORS[1], "diamond", [1, 0])}


@dataclass(frozen=True)
class View:
    """One drawing of a figure: its choice, the group of its data (the value of the field
    `grouped`), its description in Vega-Lite without data; `fields` are its numbers by title."""

    choice: str
    grouped: str
    group: str
    file: str
    spec: dict[str, Any]
    fields: Fields


@dataclass(frozen=True)
class Figure:
    """A chart with its choices; `dataset` names its data, which are `rows`."""

    dataset: str
    title: str
    note: str
    rows: Sequence[Point]
    views: tuple[View, ...]


def learning_curves(rows: Sequence[Point], looks: Looks) -> Figure:
    """Validation loss against steps, tokens or seconds of training."""
    axes = {
        "steps": (Axis("step", "training steps"), "group"),
        "tokens": (Axis("tokens", "training tokens"), "group"),
        "seconds": (Axis("seconds", "seconds of training"), "timed"),
    }
    y, views = Axis("nats", "validation loss, nats per token"), []
    for choice, (x, grouped) in axes.items():
        fields = [*RUN, (x.field, x.title), (y.field, y.title)]
        for group, members in _grouped(rows, grouped):
            points = base("curves", grouped, group).transform_flatten(list(CURVE))
            plot = Plot(points, x, y, _seen(members, looks))
            layers = [plot.path("href"), plot.unseen(fields)]
            layers.append(plot.where("datum.marked").marks(fields))
            views.append(_view("curves", choice, grouped, group, drawn(layers), fields))
    note = "A bound for diffusion, the loss itself for AR. One line a run."
    return Figure("curves", "Learning curves", note, rows, tuple(views))


def frontier(rows: Sequence[Point], looks: Looks) -> Figure:
    """Generative perplexity against entropy."""
    x, title = Axis("entropy", "entropy of samples, nats"), "generative perplexity"
    fields = [*RUN, ("sampler", "sampler"), *COST]
    fields += [("gen_ppl_text", title), ("entropy_text", "entropy")]
    views = []
    for group, members in _grouped(rows, "group"):
        y = Axis("gen_ppl", title, log_base(members, "gen_ppl"))
        plot = Plot(base("frontier", "group", group), x, y, _seen(members, looks))
        both = [plot.bars(along, len(members)) for along in ("x", "y")]
        layers = [plot.path("line", order="evaluations"), *both, plot.marks(fields)]
        views.append(_view("frontier", "", "group", group, drawn(layers), fields))
    note = (
        f"Lower is likelier text to the scoring model, further right more varied text; {BARS}, "
        "lines in the order of network evaluations. A low "
        "generative perplexity at a low entropy is repetition, not quality."
    )
    return Figure("frontier", "Generative perplexity against entropy", note, rows, tuple(views))


def quality(rows: Sequence[Point], looks: Looks) -> Figure:
    """Each measure of samples against network evaluations or against seconds."""
    axes = {
        "network evaluations": (Axis("evaluations", "network evaluations a text", 2), "group"),
        "seconds": (Axis("seconds", "seconds a text", 10), "timed"),
    }
    views = []
    for choice, (x, grouped) in axes.items():
        shown = [row for row in rows if row[x.field]]
        for group, members in _grouped(shown, grouped):
            y = Axis("value", members[0]["measure"], log_base(members, "value"))
            fields = [*RUN, ("sampler", "sampler"), *COST, ("value_text", y.title)]
            points = base("quality", grouped, group).transform_filter(alt.datum[x.field] > 0)
            plot = Plot(points, x, y, _seen(members, looks))
            layers = [plot.path("line"), plot.bars("y", len(members)), plot.marks(fields)]
            views.append(_view("quality", choice, grouped, group, drawn(layers), fields))
    note = f"A line joins the samples of one network by one sampler; {BARS}."
    return Figure("quality", "Quality against the cost of sampling", note, rows, tuple(views))


def perplexities(rows: Sequence[Point]) -> Figure:
    """Ours beside what was published for the same text, best first."""
    groups = _grouped(rows, "group")
    views = [_ladder("perplexity", "", *group, "perplexity") for group in groups]
    note = (
        f"≤ marks an upper bound; {BARS}. Published numbers stand beside ours, not in one ranking "
        "with them: their data, budget and protocol are those of their papers."
    )
    return Figure("perplexity", "Perplexity beside published", note, rows, tuple(views))


def target(rows: Sequence[Point]) -> Figure:
    """How soon learning curves reach the target of a track, in tokens, FLOPs or seconds."""
    views = [
        _ladder("target", members[0]["cost"], group, members, f"{members[0]['cost']} of training")
        for group, members in _grouped(rows, "group")
    ]
    note = f"Where every run reaches it; {BARS}, of validation or of seeds, whichever is larger."
    return Figure("target", "Time to target", note, rows, tuple(views))


def _ladder(dataset: str, choice: str, group: str, members: Sequence[Point], title: str) -> View:
    """A row for every label, the smallest value first."""
    fields = [("label", "algorithm"), ("who", "by"), ("about", "of"), ("value_text", title)]
    x, down = Axis("value", title), alt.EncodingSortField("value", op="min")
    chart = base(dataset, "group", group).encode(y=alt.Y("label:N", title=None, sort=down))
    seen = {who: look for who, look in WHOSE.items() if any(r["who"] == who for r in members)}
    color = legend(alt.Color, seen, "color", "who")
    rules = chart.mark_rule(strokeOpacity=0.6, aria=False).encode(color=color, **reach("x", x))
    dots = chart.mark_point(filled=True, size=90, fillOpacity=0.9).encode(
        x=position(alt.X, x),
        href="href:N",
        color=color,
        shape=legend(alt.Shape, seen, "shape", "who"),
        tooltip=tips(fields),
    )
    height = LINE * len({row["label"] for row in members})
    layers = alt.layer(rules, dots, width=WIDTH, height=height)
    return _view(dataset, choice, "group", group, layers, fields)


def _grouped(rows: Sequence[Point], field: str) -> list[tuple[str, list[Point]]]:
    """The groups of a field, the one with most rows first."""
    groups: dict[str, list[Point]] = {}
    for row in rows:
        groups.setdefault(row[field], []).append(row)
    return sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))


def _seen(rows: Sequence[Point], looks: Looks) -> Looks:
    present = {row["series"] for row in rows}
    return {name: look for name, look in looks.items() if name in present}


def _view(figure: str, choice: str, grouped: str, group: str, chart: Any, fields: Fields) -> View:
    spec = chart.to_dict()
    spec.pop("config", None)
    return View(choice, grouped, group, file_name(figure, choice, group), spec, fields)


def file_name(figure: str, choice: str, group: str) -> str:
    """A name without an ending; of a long one the beginning and a digest."""
    name = re.sub(r"[^a-z0-9.]+", "-", f"{figure} {choice} {group}".lower()).strip("-.")
    if len(name) <= LONGEST and "|" not in group:
        return name
    return f"{name[:LONGEST].rstrip('-.')}-{hashlib.sha256(group.encode()).hexdigest()[:6]}"
