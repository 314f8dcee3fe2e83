"""Parts of the charts: axes, bars, marks, legends, and how a series looks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import altair as alt

# Readable on white and on near-black: contrast above 3 with both.
COLORS = [
    *("#3b82c4", "#d9730d", "#2e9e5b", "#d64545", "#9467bd"),
    *("#a0704b", "#d1569b", "#1c9aa8", "#8a8a1f", "#7f858c"),
]
# As many as have no common divisor with the number of colours: together they tell 130 series apart.
SHAPES = [
    *("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"),
    *("triangle-left", "M-0.8,-0.9L0.8,-0.9L-0.8,0.9L0.8,0.9Z"),  # an hourglass
    "M-1,-0.4L0,-1L1,-0.4L1,0.4L0,1L-1,0.4Z",  # a hexagon
    "M-1,0.5A1,1,0,0,1,1,0.5Z",  # half a disc
    "M-1,-0.6L-0.6,-1L0,-0.4L0.6,-1L1,-0.6L0.4,0L1,0.6L0.6,1L0,0.4L-0.6,1L-1,0.6L-0.4,0Z",  # an X
    "M0,-1L0.24,-0.32L0.95,-0.31L0.38,0.12L0.59,0.81L0,0.4"  # a star
    "L-0.59,0.81L-0.38,0.12L-0.95,-0.31L-0.24,-0.32Z",
]
DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [4, 2], [12, 3], [1, 3], [9, 2, 2, 2, 2, 2])
HEIGHT, WIDTH = 340, 640
MANY = 40  # points
WIDE = 5.0  # the ratio of the ends of a log axis, at least

Fields = Sequence[tuple[str, str]]  # names in the data, and in words


class Axis(NamedTuple):
    """A field, what it is in words, and the base of its scale where that is one of ratios."""

    field: str
    title: str
    base: int | None = None


class Look(NamedTuple):
    color: str
    shape: str
    dash: Sequence[int]


Looks = dict[str, Look]


def looks(series: Iterable[str]) -> Looks:
    """Colour, shape and dashes of every series, to be the same in every figure."""
    return {
        name: Look(COLORS[n % len(COLORS)], SHAPES[n % len(SHAPES)], DASHES[n % len(DASHES)])
        for n, name in enumerate(sorted(set(series)))
    }


def base(dataset: str, grouped: str, group: str) -> alt.Chart:
    """A chart of what `dataset` has of a group."""
    return alt.Chart(alt.NamedData(dataset)).transform_filter(alt.datum[grouped] == group)


def log_base(rows: Iterable[Mapping[str, Any]], field: str) -> int | None:
    """10 where the bars of a field are above zero and span a factor of WIDE, else None: a log axis
    of a narrow range has hardly a number on it."""
    ends = [(row[f"{field}_low"], row[f"{field}_high"]) for row in rows]
    low, high = min((low for low, _ in ends), default=0), max((high for _, high in ends), default=0)
    return 10 if low > 0 and high >= WIDE * low else None


def position(channel: Any, axis: Axis, field: str | None = None) -> Any:
    """x or y of `axis`, by another of its fields where one is named."""
    kind: dict[str, Any] = {"type": "log", "base": axis.base} if axis.base else {"zero": False}
    scale, ticks = alt.Scale(padding=14, nice=False, **kind), alt.Axis(tickCount=8)
    return channel(f"{field or axis.field}:Q", title=axis.title, scale=scale, axis=ticks)


def reach(along: str, axis: Axis) -> dict[str, Any]:
    """The channels of an error bar of `axis`, `along` x or y."""
    channel = alt.X if along == "x" else alt.Y
    low = position(channel, axis, f"{axis.field}_low")
    return {along: low, f"{along}2": f"{axis.field}_high:Q"}


@dataclass(frozen=True)
class Plot:
    """Layers of `chart` against x and y, in which the series that are `seen` have their looks."""

    chart: alt.Chart
    x: Axis
    y: Axis
    seen: Looks

    @property
    def placed(self) -> alt.Chart:
        return self.chart.encode(x=position(alt.X, self.x), y=position(alt.Y, self.y))

    @property
    def colored(self) -> alt.Chart:
        return self.placed.encode(color=legend(alt.Color, self.seen, "color"))

    def where(self, condition: str) -> "Plot":
        """The same of the points that fulfil a condition."""
        return replace(self, chart=self.chart.transform_filter(condition))

    def bars(self, along: str, count: int) -> alt.Chart:
        """Error bars `along` x or y, fainter where there are many."""
        rule = self.colored.mark_rule(strokeOpacity=0.5 if count <= MANY else 0.25, aria=False)
        return rule.encode(**reach(along, self.x if along == "x" else self.y))

    def path(self, detail: str, order: str | None = None) -> alt.Chart:
        """A line through all that have the same `detail`, each series with its dashes."""
        # By names of their own, dashes stay out of the legend, where they would border its marks.
        apart = self.colored.transform_calculate(dashes="'dashes of ' + datum.series")
        dashes = alt.Scale(
            domain=[f"dashes of {name}" for name in self.seen],
            range=[look.dash for look in self.seen.values()],
        )
        return apart.mark_line(strokeOpacity=0.8, strokeWidth=1.6, aria=False).encode(
            detail=f"{detail}:N",
            order=f"{order or self.x.field}:Q",
            strokeDash=alt.StrokeDash("dashes:N", scale=dashes, legend=None),
        )

    def points(self, size: int) -> alt.Chart:
        mark = self.colored.mark_point(filled=True, size=size, fillOpacity=0.9)
        return mark.encode(shape=legend(alt.Shape, self.seen, "shape"))

    def marks(self, fields: Fields) -> alt.Chart:
        """Points that lead to their records and say `fields`."""
        return self.points(80).encode(href="href:N", tooltip=tips(fields))

    def unseen(self, fields: Fields) -> alt.Chart:
        """Invisible points between the ends of curves, for the pointer."""
        mark = self.placed.mark_circle(size=60, fillOpacity=0, aria=False)
        return mark.encode(href="href:N", tooltip=tips(fields))


def tips(fields: Fields) -> list[alt.Tooltip]:
    """`fields` with their names in words, numbers with five digits."""
    words = ("series", "corpus", "network", "sampler", "label", "who", "about", "seed")
    return [
        alt.Tooltip(f"{name}:N", title=title)
        if name in words or name.endswith("_text")
        else alt.Tooltip(f"{name}:Q", title=title, format=".5~g")
        for name, title in fields
    ]


def legend(channel: Any, seen: Looks, look: str, field: str = "series") -> Any:
    """A channel that distinguishes series; the configuration sets the columns of its legend."""
    return channel(
        f"{field}:N",
        title=None,
        scale=alt.Scale(domain=list(seen), range=[getattr(style, look) for style in seen.values()]),
        legend=alt.Legend(orient="bottom", labelLimit=260, symbolSize=90),
    )


def drawn(layers: Sequence[alt.Chart]) -> "alt.LayerChart | alt.FacetChart":
    return alt.layer(*layers, width=WIDTH, height=HEIGHT)
