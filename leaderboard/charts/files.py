"""The charts as PNG, SVG and PDF, from the descriptions that the page draws."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from leaderboard.charts.figures import Figure
from storage import write_atomic

VEGA_LITE = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])  # that altair writes
HERE = "https://here.invalid/"  # stands for the folder of the charts while they are drawn
FOLDER = "charts"  # beside the page
KINDS = ("png", "svg", "pdf")
SCALE = 2.0  # of pixels
COLUMNS = 4  # of a legend
FONT = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"


def config(ink: str, paper: str) -> dict[str, Any]:
    """How all charts look on `paper`; with "currentColor" for ink they follow their page."""
    words = {"labelColor": ink, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12}
    lines = {"domainColor": ink, "tickColor": ink, "gridColor": ink, "gridOpacity": 0.13}
    return {
        "background": paper,
        "font": FONT,
        "view": {"stroke": ink, "strokeOpacity": 0.25},
        "axis": words | lines | {"titleFontWeight": "normal", "titlePadding": 8, "labelLimit": 260},
        "legend": words | {"rowPadding": 4, "columns": COLUMNS},
        "title": {"color": ink, "fontSize": 14, "anchor": "start", "subtitleColor": ink},
        "rule": {"color": ink},
        "text": {"color": ink},
    }


def write_charts(folder: Path, figures: Sequence[Figure], files: Mapping[str, str]) -> list[Path]:
    """Every view of every figure in `folder`, in each of three kinds; other charts of an earlier
    call are removed. `files` are the paths of records, seen from there, by their address in a
    page."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [path for figure in figures for path in _written(folder, figure, files)]
    for path in folder.iterdir():
        is_chart = path.name.startswith(tuple(f"{figure.dataset}-" for figure in figures))
        if is_chart and path.suffix[1:] in KINDS and path not in written and not path.is_dir():
            path.unlink()
    return written


def _written(folder: Path, figure: Figure, files: Mapping[str, str]) -> list[Path]:
    # The converter takes no address that is relative.
    relative = {page: f"{HERE}{file}" for page, file in files.items()}
    rows = [row | {"href": relative.get(row["href"], row["href"])} for row in figure.rows]
    paths: list[Path] = []
    for view in figure.views:
        shown = [row for row in rows if row[view.grouped] == view.group]
        title = {"text": figure.title, "subtitle": view.group}
        # What only a pointer finds is nothing on paper.
        layers = [layer for layer in view.spec["layer"] if layer["mark"].get("fillOpacity") != 0]
        spec = view.spec | {"datasets": {figure.dataset: shown}, "title": title, "layer": layers}
        drawing = vl_convert.vegalite_to_svg(
            spec, vl_version=VEGA_LITE, config=config("#1c1e21", "#ffffff")
        ).replace(HERE, "")
        contents = {
            "png": vl_convert.svg_to_png(drawing, scale=SCALE),
            "svg": drawing.encode(),
            "pdf": vl_convert.svg_to_pdf(drawing),
        }
        for kind, content in contents.items():
            paths.append(folder / f"{view.file}.{kind}")
            write_atomic(paths[-1], content)
    return paths
