"""The table of mode=oracle."""

import json
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from data.markov import MarkovLanguage
from evaluation.oracle.decomposition import Part, Parts
from evaluation.oracle.losses import NATS, Loss
from evaluation.rounding import fixed, places_of, with_error

PERFECT, RUN = "perfect", "run"
WIDE = 200
SURE = 2  # standard errors from which on a loss is marked


class Row(NamedTuple):
    """One sampler at one number of steps with one network; evaluations per text, seconds for all
    texts."""

    algo: str
    predictor: str
    steps: int | None
    network: str
    losses: dict[str, Loss]
    foreign: float
    evaluations: float
    seconds: float
    protocol: dict[str, Any]


def recorded_row(path: Path, network: str) -> Row:
    """The row that a record says."""
    record = json.loads(path.read_text(encoding="utf-8"))
    metrics, protocol = record["metrics"], dict(record["sampler"])
    evaluations = protocol.pop("network_evaluations")
    losses = {name: Loss(**loss) for name, loss in metrics["losses"].items()}
    how = (record["algo"], protocol["predictor"], protocol["steps"], network)
    return Row(*how, losses, metrics["foreign"], evaluations, metrics["seconds"], protocol)


def show(rows: Sequence[Row], language: MarkovLanguage) -> None:
    """Prints what each row loses; where a sampler ran with both networks, training's part too."""
    shown = columns(language.order + 1, rows[0].losses)
    several = len({row.network for row in rows}) > 1
    table = Table(title=f"lost beyond true texts (*: more than {SURE} standard errors)")
    for title in ("sampler", "steps", *(["network"] if several else []), *shown.values()):
        table.add_column(title, justify="left" if title in ("sampler", "network") else "right")
    for title in ("evaluations", "seconds"):
        table.add_column(title, justify="right")
    for best, mine in paired(rows):
        for row in filter(None, (best, mine)):
            steps = "-" if row.steps is None else str(row.steps)
            values = [marked(row.losses[key].excess, row.losses[key].stderr) for key in shown]
            cost = [f"{row.evaluations:.4g}", f"{row.seconds:.1f}"]
            name, network = f"{row.algo} {row.predictor}", [row.network] if several else []
            table.add_row(name, steps, *network, *values, *cost)
        if mine is not None:
            parts = [difference(mine.losses[key], best.losses[key]) for key in shown]
            table.add_row("", "", "training's part", *parts, "", "", end_section=True)
    console = Console()
    # In a file or a pipe there is no window that the lines would have to fit.
    (console if console.is_terminal else Console(width=WIDE)).print(table)
    foreign = max(row.foreign for row in rows)
    if foreign:
        print(f"up to {foreign:.2%} of the tokens of a row are no symbols of the language")


def columns(count: int, losses: Collection[str]) -> dict[str, str]:
    """What the table has of the losses, and the titles; `count` is the order and one."""
    known = {NATS: "nats/symbol", f"kl_{count}": f"KL of {count}-grams"}
    known |= {f"tv_{n}": f"TV of {n}-grams" for n in sorted({1, count, 3})}
    return {name: title for name, title in known.items() if name in losses}


def paired(rows: Sequence[Row]) -> list[tuple[Row, Row | None]]:
    """Each row of the perfect network with that of the run for the same sampler, if there is one;
    a run has one algorithm."""
    runs = {_how(row): row for row in rows if row.network == RUN}
    return [(row, runs.get(_how(row))) for row in rows if row.network == PERFECT]


def _how(row: Row) -> str:
    return json.dumps(row.protocol, sort_keys=True)


def difference(mine: Loss, best: Loss) -> str:
    return marked(mine.excess - best.excess, math.hypot(mine.stderr, best.stderr))


def marked(value: float, stderr: float) -> str:
    sign = "*" if abs(value) > SURE * stderr else " "
    return f"{with_error(value, stderr, 4)}{sign}"


def likelihood_lines(parts: Parts) -> list[str]:
    def said(part: Part) -> str:
        return with_error(part.mean, part.stderr, 4, "+" if part.mean >= 0 else "")

    total = sum(part.mean for part in parts)
    places = min(places_of(part.stderr, 4) for part in parts)
    return [
        "nats per symbol of new texts:",
        f"  the language itself          {said(parts.exact)}",
        f"  the bound, nothing to learn  {said(parts.bound)}",
        f"  training                     {said(parts.training)}",
        f"  the run                      {'+' if total >= 0 else ''}{fixed(total, places)}",
    ]
