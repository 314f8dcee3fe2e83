"""The table of mode=oracle."""

import json
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data.markov import MarkovLanguage
from evaluation.bootstrap import SURE
from evaluation.oracle.decomposition import Part, Parts
from evaluation.oracle.losses import NATS, Loss
from evaluation.rounding import fixed, places_of, with_error
from leaderboard.export.terminal import print_table

PERFECT, RUN = "perfect", "run"


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
    """The row of a record."""
    record = json.loads(path.read_text(encoding="utf-8"))
    metrics, protocol = record["metrics"], dict(record["sampler"])
    evaluations = protocol.pop("network_evaluations")
    losses = {name: Loss(**loss) for name, loss in metrics["losses"].items()}
    how = (record["algo"], protocol["predictor"], protocol["steps"], network)
    return Row(*how, losses, metrics["foreign"], evaluations, metrics["seconds"], protocol)


def show(rows: Sequence[Row], language: MarkovLanguage) -> None:
    """Prints the losses of each row, and training's part where a sampler ran with both networks."""
    shown = columns(language.order + 1, rows[0].losses)
    several = len({row.network for row in rows}) > 1
    headers = ["sampler", *(["network"] if several else []), "steps", *shown.values()]
    cells: list[list[str]] = []
    for perfect, trained in paired(rows):
        for row in filter(None, (perfect, trained)):
            network, steps = (
                [row.network] if several else [],
                "-" if row.steps is None else row.steps,
            )
            values = [marked(row.losses[key].excess, row.losses[key].stderr) for key in shown]
            cost = [f"{row.evaluations:.4g}", f"{row.seconds:.1f}"]
            cells.append([f"{row.algo} {row.predictor}", *network, str(steps), *values, *cost])
        if trained is not None:
            parts = [difference(trained.losses[key], perfect.losses[key]) for key in shown]
            cells += [["", "training's part", "", *parts, "", ""], []]
    title = f"lost beyond true texts (*: more than {SURE} standard errors)"
    print_table([*headers, "evaluations", "seconds"], cells, title, words=1 + several)
    foreign = max(row.foreign for row in rows)
    if foreign:
        print(f"up to {foreign:.2%} of the tokens of a row are no symbols of the language")


def columns(count: int, losses: Collection[str]) -> dict[str, str]:
    """Titles by name of the losses in the table; `count` is the order and one."""
    titles = {NATS: "nats/symbol", f"kl_{count}": f"KL of {count}-grams"}
    titles |= {f"tv_{n}": f"TV of {n}-grams" for n in sorted({1, count, 3})}
    return {name: title for name, title in titles.items() if name in losses}


def paired(rows: Sequence[Row]) -> list[tuple[Row, Row | None]]:
    """Each row of the perfect network with that of the run for the same sampler, if there is one;
    a run has one algorithm."""

    def key(row: Row) -> str:
        return json.dumps(row.protocol, sort_keys=True)

    trained = {key(row): row for row in rows if row.network == RUN}
    return [(row, trained.get(key(row))) for row in rows if row.network == PERFECT]


def difference(trained: Loss, perfect: Loss) -> str:
    return marked(trained.excess - perfect.excess, math.hypot(trained.stderr, perfect.stderr))


def marked(value: float, stderr: float) -> str:
    sign = "*" if abs(value) > SURE * stderr else " "
    return f"{with_error(value, stderr, 4)}{sign}"


def likelihood_lines(parts: Parts) -> list[str]:
    """The parts of the trained run's nats, one a line, and their sum."""

    def signed(part: Part) -> str:
        return with_error(part.mean, part.stderr, 4, "+" if part.mean >= 0 else "")

    total = sum(part.mean for part in parts)
    places = min(places_of(part.stderr, 4) for part in parts)
    return [
        "nats per symbol of new texts:",
        f"  the language itself          {signed(parts.exact)}",
        f"  the bound, nothing to learn  {signed(parts.bound)}",
        f"  training                     {signed(parts.training)}",
        f"  the run                      {'+' if total >= 0 else ''}{fixed(total, places)}",
    ]
